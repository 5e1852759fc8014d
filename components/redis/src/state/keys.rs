//! Listing keys.

use crate::{dial::Conn, error, link::Link};
use component::ComponentError;
use redis::{
    Cmd, RedisResult, Value,
    aio::ConnectionLike,
    cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo, SingleNodeRoutingInfo},
};
use std::collections::BTreeSet;

/// How many keys the server looks at in one go.
const LOOKED_AT: usize = 1000;

/// A page of the keys that fit an SQL `LIKE` pattern, sorted; Redis does not know in which order keys were written.
///
/// The token is the last key of the page before. Each page walks over all keys, which is what makes pages exact while keys
/// come and go.
pub(super) async fn like(
    link: &Link,
    pattern: &str,
    limit: Option<u32>,
    token: Option<String>,
) -> Result<(Vec<String>, Option<String>), ComponentError> {
    let failed = |e| error::failed("failed to list keys", &e);
    let mut conn = link.conn().await.map_err(failed)?;
    let limit = limit.map_or(usize::MAX, |limit| limit.max(1) as usize);
    // One more than the page, to know whether another one follows.
    let mut page = Page {
        keys: BTreeSet::new(),
        most: limit.saturating_add(1),
        after: token,
    };
    let glob = glob(pattern);
    for place in places(&mut conn).await.map_err(failed)? {
        scan(&mut conn, place.as_ref(), &glob, &mut page)
            .await
            .map_err(failed)?;
    }
    let more = page.keys.len() > limit;
    let keys: Vec<String> = page.keys.into_iter().take(limit).collect();
    let token = keys.last().filter(|_| more).cloned();
    Ok((keys, token))
}

/// The first keys after a given one.
struct Page {
    keys: BTreeSet<String>,
    most: usize,
    after: Option<String>,
}

impl Page {
    fn offer(&mut self, key: String) {
        if self.after.as_ref().is_some_and(|after| key <= *after) {
            return;
        }
        if self.keys.len() >= self.most && self.keys.last().is_some_and(|last| key >= *last) {
            return;
        }
        self.keys.insert(key);
        if self.keys.len() > self.most {
            self.keys.pop_last();
        }
    }
}

/// A master of a cluster.
type Place = (String, u16);

/// The masters of a cluster; one nameless place if it is no cluster.
async fn places(conn: &mut Conn) -> RedisResult<Vec<Option<Place>>> {
    let Conn::Cluster(cluster) = conn else {
        return Ok(vec![None]);
    };
    let everywhere = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
    // The answer is a map from the address of each master to what it said.
    let answer = cluster.route_command(redis::cmd("PING"), everywhere).await?;
    let said: Vec<(String, Value)> = redis::from_redis_value(answer)?;
    let place = |address: &str| {
        let (host, port) = address.rsplit_once(':')?;
        Some((host.to_owned(), port.parse().ok()?))
    };
    Ok(said
        .iter()
        .map(|(address, _)| place(address))
        .filter(Option::is_some)
        .collect())
}

async fn scan(conn: &mut Conn, place: Option<&Place>, glob: &str, page: &mut Page) -> RedisResult<()> {
    let mut cursor = 0u64;
    loop {
        let mut command = redis::cmd("SCAN");
        command.arg(cursor).arg("MATCH").arg(glob).arg("COUNT").arg(LOOKED_AT);
        let answer = at(conn, place, command).await?.extract_error()?;
        let (next, keys): (u64, Vec<Vec<u8>>) = redis::from_redis_value(answer)?;
        for key in keys {
            // Keys of states are text; others are not ours.
            if let Ok(key) = String::from_utf8(key) {
                page.offer(key);
            }
        }
        if next == 0 {
            return Ok(());
        }
        cursor = next;
    }
}

async fn at(conn: &mut Conn, place: Option<&Place>, command: Cmd) -> RedisResult<Value> {
    match (conn, place) {
        (Conn::Cluster(cluster), Some((host, port))) => {
            let place = SingleNodeRoutingInfo::ByAddress {
                host: host.clone(),
                port: *port,
            };
            cluster.route_command(command, RoutingInfo::SingleNode(place)).await
        }
        (conn, _) => conn.req_packed_command(&command).await,
    }
}

/// The glob that means what an SQL `LIKE` pattern means; a backslash takes the next character as it is.
fn glob(like: &str) -> String {
    let mut glob = String::with_capacity(like.len() + 8);
    let mut chars = like.chars();
    while let Some(c) = chars.next() {
        let literal = match c {
            '%' => {
                glob.push('*');
                continue;
            }
            '_' => {
                glob.push('?');
                continue;
            }
            '\\' => chars.next().unwrap_or('\\'),
            c => c,
        };
        if matches!(literal, '*' | '?' | '[' | ']' | '^' | '-' | '\\') {
            glob.push('\\');
        }
        glob.push(literal);
    }
    glob
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert_eq!(glob("app||%||metadata"), "app||*||metadata");
        assert_eq!(glob("a_b"), "a?b");
        assert_eq!(glob(r"100\% [x] a\_b?"), r"100% \[x\] a_b\?");
    }

    #[test]
    fn pages() {
        let mut page = Page {
            keys: BTreeSet::new(),
            most: 2,
            after: Some("b".into()),
        };
        for key in ["e", "a", "d", "c", "b", "d"] {
            page.offer(key.into());
        }
        assert_eq!(page.keys.into_iter().collect::<Vec<_>>(), ["c", "d"]);
    }
}
