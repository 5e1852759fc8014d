//! When a circuit breaker opens: a CEL expression over its counts, read once.

use crate::{LOG, breaker::Counts};
use cel::{Context, Env, IdedExpr, Program, Value, common::ast::Expr};
use std::{fmt, sync::Arc};

/// The condition on which a closed breaker opens. It is evaluated after each failure.
#[derive(Clone)]
pub struct Trip(Condition);

#[derive(Clone)]
enum Condition {
    /// A count compared with a number: nothing to interpret.
    Simple(Count, Comparison, i64),
    Cel(Arc<Compiled>),
}

struct Compiled {
    text: String,
    program: Program,
    env: Arc<Env>,
}

/// Why a condition cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no condition over the counts of a circuit breaker: {reason}")]
pub struct TripError {
    text: String,
    reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Count {
    Requests,
    TotalSuccesses,
    TotalFailures,
    ConsecutiveSuccesses,
    ConsecutiveFailures,
}

impl Count {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Requests, "requests"),
        (Self::TotalSuccesses, "totalSuccesses"),
        (Self::TotalFailures, "totalFailures"),
        (Self::ConsecutiveSuccesses, "consecutiveSuccesses"),
        (Self::ConsecutiveFailures, "consecutiveFailures"),
    ];

    fn of(self, counts: &Counts) -> i64 {
        let count = match self {
            Self::Requests => counts.requests,
            Self::TotalSuccesses => counts.total_successes,
            Self::TotalFailures => counts.total_failures,
            Self::ConsecutiveSuccesses => counts.consecutive_successes,
            Self::ConsecutiveFailures => counts.consecutive_failures,
        };
        i64::from(count)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    AtLeast,
    MoreThan,
    Equal,
}

impl Default for Trip {
    /// More than five failures one after the other.
    fn default() -> Self {
        Self(Condition::Simple(Count::ConsecutiveFailures, Comparison::MoreThan, 5))
    }
}

impl Trip {
    /// Reads a condition such as `consecutiveFailures > 5`.
    pub fn parse(text: &str) -> Result<Self, TripError> {
        if let Some(simple) = parse_simple(text) {
            return Ok(Self(simple));
        }
        let compiled = Compiled::new(text).map_err(|reason| TripError {
            text: text.to_owned(),
            reason,
        })?;
        Ok(Self(Condition::Cel(Arc::new(compiled))))
    }

    /// Whether the condition holds. One that cannot be evaluated does not hold, and says so in the log.
    pub fn fires(&self, counts: &Counts) -> bool {
        match &self.0 {
            Condition::Simple(count, comparison, limit) => match comparison {
                Comparison::AtLeast => count.of(counts) >= *limit,
                Comparison::MoreThan => count.of(counts) > *limit,
                Comparison::Equal => count.of(counts) == *limit,
            },
            Condition::Cel(compiled) => compiled.evaluate(counts).unwrap_or_else(|reason| {
                tracing::warn!(target: LOG, "circuit breaker condition {:?} failed: {reason}", compiled.text);
                false
            }),
        }
    }
}

impl Compiled {
    fn new(text: &str) -> Result<Self, String> {
        let program = compile(text)?;
        let unknown = program
            .references()
            .variables()
            .into_iter()
            .find(|name| !Count::ALL.iter().any(|(_, known)| known == name))
            .map(str::to_owned);
        if let Some(name) = unknown {
            return Err(format!("undeclared reference to '{name}'"));
        }
        let compiled = Self {
            text: text.to_owned(),
            program,
            env: Arc::new(Env::stdlib()),
        };
        compiled.probe()?;
        Ok(compiled)
    }

    /// CEL here has no type checker: what the types are wrong of shows at the first evaluation. A division by zero may be
    /// due to the counts, so there are two tries.
    fn probe(&self) -> Result<(), String> {
        let ones = Counts {
            requests: 1,
            total_successes: 1,
            total_failures: 1,
            consecutive_successes: 1,
            consecutive_failures: 1,
        };
        let mixed = Counts {
            requests: 17,
            total_successes: 4,
            total_failures: 13,
            consecutive_successes: 0,
            consecutive_failures: 7,
        };
        self.evaluate(&mixed).or_else(|_| self.evaluate(&ones)).map(|_| ())
    }

    fn evaluate(&self, counts: &Counts) -> Result<bool, String> {
        let mut context = Context::with_env(self.env.clone());
        for (count, name) in Count::ALL {
            context.add_variable_from_value(name, count.of(counts));
        }
        match self.program.execute(&context) {
            Ok(Value::Bool(fires)) => Ok(fires),
            Ok(_) => Err("the result is neither true nor false".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// The longest condition that is read, and the stack it is read on: the parser of CEL goes as deep as its text does.
const MAX_LENGTH: usize = 1000;
const PARSER_STACK: usize = 64 << 20;
/// How deep a condition may be nested: evaluating one takes some 30 kB of stack a level.
const MAX_DEPTH: usize = 24;

/// The parser of CEL is generated code of others: it runs where its recursion has room, and a panic in it is an error of
/// the text.
fn compile(text: &str) -> Result<Program, String> {
    if text.len() > MAX_LENGTH {
        return Err(format!("it is longer than {MAX_LENGTH} bytes"));
    }
    let text = text.to_owned();
    let parse = move || {
        let program = Program::compile(&text).map_err(|error| error.to_string())?;
        check(program.expression(), MAX_DEPTH).map(|()| program)
    };
    let parser = std::thread::Builder::new().stack_size(PARSER_STACK);
    let parser = parser.spawn(parse).map_err(|error| error.to_string())?;
    parser.join().unwrap_or_else(|_| Err("it cannot be parsed".to_owned()))
}

/// Whether the expression is made of operators, functions, names, literals and lists only, at most `depth` levels of them:
/// nothing that loops.
fn check(expression: &IdedExpr, depth: usize) -> Result<(), String> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(format!("it is nested more than {MAX_DEPTH} levels deep"));
    };
    match &expression.expr {
        Expr::Literal(_) | Expr::Ident(_) => Ok(()),
        Expr::Call(call) => call
            .target
            .iter()
            .map(|target| &**target)
            .chain(&call.args)
            .try_for_each(|part| check(part, depth)),
        Expr::List(list) => list.elements.iter().try_for_each(|part| check(part, depth)),
        _ => Err("only operators, functions, numbers and lists can be used".to_owned()),
    }
}

/// `<count> > <number>`, the form that nearly all conditions have.
fn parse_simple(text: &str) -> Option<Condition> {
    let text = text.trim();
    let (count, name) = Count::ALL.into_iter().find(|(_, name)| text.starts_with(name))?;
    let rest = text[name.len()..].trim_start();
    let (comparison, number) = [
        (">=", Comparison::AtLeast),
        (">", Comparison::MoreThan),
        ("==", Comparison::Equal),
    ]
    .into_iter()
    .find_map(|(sign, comparison)| rest.strip_prefix(sign).map(|number| (comparison, number.trim())))?;
    let plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let limit = number.parse::<i64>().ok().filter(|_| plain)?;
    Some(Condition::Simple(count, comparison, limit))
}

impl fmt::Debug for Trip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Condition::Simple(count, comparison, limit) => write!(f, "Trip({count:?} {comparison:?} {limit})"),
            Condition::Cel(compiled) => write!(f, "Trip({:?})", compiled.text),
        }
    }
}
