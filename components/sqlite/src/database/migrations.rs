//! Tables that are made once and changed step by step, also while other programs use the same file.

use super::Error;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

/// Refuses what cannot be the name of a table.
pub(crate) fn check_identifier(name: &str) -> Result<(), String> {
    let good = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if good {
        Ok(())
    } else {
        Err(format!("invalid identifier: {name:?}"))
    }
}

/// Brings tables up to date. `key` names the counter of steps in the table of metadata; each step is SQL text, and those
/// that the counter says are done are not done again.
pub(crate) fn migrate(connection: &Connection, metadata_table: &str, key: &str, steps: &[String]) -> Result<(), Error> {
    let read = format!("SELECT value FROM {metadata_table} WHERE key = ?1");
    let level = |connection: &Connection| -> Result<usize, rusqlite::Error> {
        let value: Option<String> = connection.query_row(&read, [key], |row| row.get(0)).optional()?;
        Ok(value.and_then(|text| text.trim().parse().ok()).unwrap_or(0))
    };
    // Most of the time there is nothing to do, and then nothing is locked.
    if level(connection).is_ok_and(|level| level >= steps.len()) {
        return Ok(());
    }
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    connection.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS {metadata_table} (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)"
    ))?;
    let done = level(connection)?;
    for step in steps.iter().skip(done) {
        connection.execute_batch(step)?;
    }
    if done < steps.len() {
        connection.execute(
            &format!(
                "INSERT INTO {metadata_table} (key, value) VALUES (?1, ?2)
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value"
            ),
            params![key, steps.len().to_string()],
        )?;
    }
    transaction.commit()?;
    Ok(())
}
