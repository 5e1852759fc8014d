use super::*;
use std::sync::Arc;

fn location(text: &str) -> Location {
    Location::parse(text).unwrap()
}

fn worker(folder: &Path) -> Worker {
    let settings = Settings {
        location: location(&format!("{}/test.db", folder.display())),
        busy_timeout: Duration::from_secs(2),
        wal: true,
    };
    let connection = settings.writer().unwrap();
    connection
        .execute_batch("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY)")
        .unwrap();
    Worker::spawn(connection, Duration::from_secs(20), None).unwrap()
}

#[test]
fn connection_strings() {
    for (text, uri, path) in [
        ("data.db", "file:data.db", Some("data.db")),
        ("/a/b.db", "file:/a/b.db", Some("/a/b.db")),
        ("file:/a/b%20c.db", "file:/a/b%20c.db", Some("/a/b c.db")),
        (
            "file:///a/b.db?cache=private",
            "file:///a/b.db?cache=private",
            Some("/a/b.db"),
        ),
        ("a.db?_txlock=immediate&mode=rwc", "file:a.db?mode=rwc", Some("a.db")),
        (":memory:", ":memory:", None),
        ("file::memory:?cache=shared", ":memory:", None),
        ("file:x?mode=memory&cache=shared", ":memory:", None),
    ] {
        let location = location(text);
        assert_eq!(location.uri(), uri, "{text}");
        assert_eq!(location.path(), path.map(Path::new), "{text}");
        assert_eq!(location.is_memory(), path.is_none(), "{text}");
        assert!(!location.is_read_only(), "{text}");
    }
    assert!(location("file:a.db?mode=ro").is_read_only());
    assert!(location("file:a.db?immutable=1").is_read_only());
    let pragmas = location("a.db?_pragma=cache_size(-4000)&_pragma=temp_store=2");
    assert_eq!(
        pragmas.pragmas().collect::<Vec<_>>(),
        [("cache_size", "-4000"), ("temp_store", "2")]
    );
}

#[test]
fn wrong_connection_strings() {
    for (text, problem) in [
        ("a.db?_txlock=often", "known are"),
        ("a.db?_pragma=busy_timeout(1)", "busyTimeout"),
        ("a.db?_pragma=journal_mode(WAL)", "disableWAL"),
        ("a.db?_pragma=x(1);DROP", "name(value)"),
        ("a.db?_pragma=", "name(value)"),
    ] {
        let error = Location::parse(text).unwrap_err();
        assert!(error.contains(problem), "{text}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_request_leaves_those_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let worker = Arc::new(worker(folder.path()));
    let calls = (0..200i64).map(|n| {
        let worker = worker.clone();
        async move {
            let access = if n % 2 == 0 { Access::Whole } else { Access::Relaxed };
            worker
                .call(access, move |connection| {
                    connection.execute("INSERT INTO t VALUES (?1)", [n])?;
                    if n % 5 == 0 {
                        connection.execute("INSERT INTO nowhere VALUES (1)", [])?;
                    }
                    assert!(n % 7 != 0, "a fault");
                    Ok(())
                })
                .await
                .is_ok()
        }
    });
    let done = futures_util::future::join_all(calls).await;
    for (n, done) in done.into_iter().enumerate() {
        assert_eq!(done, n % 5 != 0 && n % 7 != 0, "{n}");
    }
    let count = (0..200).filter(|n| n % 5 != 0 && n % 7 != 0).count();
    let rows = worker.call(Access::Read, |connection| {
        Ok(connection.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))?)
    });
    assert_eq!(rows.await.unwrap(), count as i64);
    worker.close().await;
    let late = worker.call(Access::Read, |_| Ok(())).await;
    assert!(matches!(late, Err(Error::Closed)), "{late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_wait_share_a_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let worker = worker(folder.path());
    let outside = Connection::open(folder.path().join("test.db")).unwrap();
    let outside = Arc::new(parking_lot::Mutex::new(outside));
    // How many rows others see while a request runs changes with each transaction.
    let insert = |n: i64| {
        let outside = outside.clone();
        worker.call(Access::Statement, move |connection| {
            if n == 0 {
                std::thread::sleep(Duration::from_millis(100));
            }
            connection.execute("INSERT INTO t VALUES (?1)", [n])?;
            Ok(outside
                .lock()
                .query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))?)
        })
    };
    let seen = futures_util::future::join_all((0..300).map(insert)).await;
    let mut seen: Vec<i64> = seen.into_iter().map(Result::unwrap).collect();
    seen.dedup();
    assert!(seen.len() < 10, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_of_another_program_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let worker = worker(folder.path());
    let other = Connection::open(folder.path().join("test.db")).unwrap();
    other
        .execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (1)")
        .unwrap();
    let release = tokio::task::spawn_blocking(move || {
        std::thread::sleep(Duration::from_millis(300));
        other.execute_batch("COMMIT").unwrap();
        other
    });
    let insert = |n: i64| {
        worker.call(Access::Whole, move |connection| {
            Ok(connection.execute("INSERT INTO t VALUES (?1)", [n])?)
        })
    };
    insert(2).await.unwrap();
    let other = release.await.unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = insert(3).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("locked"), "{error}");
    drop(other);
    insert(3).await.unwrap();
}

#[test]
fn migrations_are_done_once() {
    let connection = Connection::open_in_memory().unwrap();
    let mut steps = vec!["CREATE TABLE a (x)".to_owned()];
    migrate(&connection, "metadata", "migrations", &steps).unwrap();
    migrate(&connection, "metadata", "migrations", &steps).unwrap();
    steps.push("CREATE TABLE b (x)".into());
    migrate(&connection, "metadata", "migrations", &steps).unwrap();
    let level: String = connection
        .query_row("SELECT value FROM metadata WHERE key = 'migrations'", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(level, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_fails_requests_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let worker = worker(folder.path());
    let limit = |pages: i64| {
        worker.call(Access::Read, move |connection| {
            Ok(
                connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| {
                    row.get::<_, i64>(0)
                })?,
            )
        })
    };
    worker
        .call(Access::Statement, |connection| {
            Ok(connection.execute("CREATE TABLE big (x)", [])?)
        })
        .await
        .unwrap();
    limit(10).await.unwrap();
    for access in [Access::Statement, Access::Whole] {
        let insert = |n: i64| {
            worker.call(access, move |connection| {
                if n == 0 {
                    std::thread::sleep(Duration::from_millis(50));
                }
                let size = if n == 5 { 100_000 } else { 1 };
                Ok(connection.execute("INSERT INTO big VALUES (zeroblob(?1))", [size])?)
            })
        };
        let done = futures_util::future::join_all((0..10).map(insert)).await;
        let error = done[5].as_ref().unwrap_err();
        assert!(error.is_transient(), "{error}");
        // What was answered as done is there; what was not is not.
        let good = done.iter().filter(|result| result.is_ok()).count();
        let rows = worker.call(Access::Read, |connection| {
            Ok(connection.query_row("SELECT count(*) FROM big", [], |row| row.get::<_, u32>(0))?)
        });
        assert_eq!(rows.await.unwrap() as usize, good);
        limit(1000).await.unwrap();
        insert(5).await.unwrap();
        worker
            .call(Access::Statement, |connection| {
                Ok(connection.execute("DELETE FROM big", [])?)
            })
            .await
            .unwrap();
        worker
            .call(Access::Read, |connection| Ok(connection.execute_batch("VACUUM")?))
            .await
            .unwrap();
        limit(10).await.unwrap();
    }
}
