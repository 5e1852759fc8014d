//! The tables.
//!
//! A message is a row with an ever growing number. A consumer group has one cursor: what is beyond it is fresh. A consumer
//! (a subscription of one sidecar) takes a batch by moving the cursor and noting the numbers in its own row, so that the
//! usual path writes two rows a batch. Only what is refused, or handed back by a consumer that left or died, gets a row of
//! its own among the retries. Hence each message that a group is not done with is beyond the group's cursor, or held by a
//! consumer, or among the retries.

/// The counter of steps in the table of metadata.
pub(super) const MIGRATIONS_KEY: &str = "pubsub-migrations";

/// The steps that make the tables. Times are milliseconds since 1970.
pub(super) const STEPS: [&str; 1] = ["
CREATE TABLE pubsub_topics (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  -- Up to here messages have been removed, but for those among the retries.
  trimmed INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE pubsub_messages (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  topic_id INTEGER NOT NULL,
  published_at INTEGER NOT NULL,
  expires_at INTEGER,
  content_type TEXT,
  -- A JSON object, or nothing.
  metadata TEXT,
  data BLOB NOT NULL
);
CREATE INDEX pubsub_messages_by_topic ON pubsub_messages (topic_id);
CREATE INDEX pubsub_messages_by_expiry ON pubsub_messages (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE pubsub_groups (
  id INTEGER PRIMARY KEY,
  topic_id INTEGER NOT NULL,
  name TEXT NOT NULL,
  cursor INTEGER NOT NULL,
  UNIQUE (topic_id, name)
);
CREATE TABLE pubsub_consumers (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  group_id INTEGER NOT NULL,
  topic_id INTEGER NOT NULL,
  -- Where it listens: a file beside the database, or an absolute path.
  socket TEXT NOT NULL,
  -- 1: it has found nothing and sleeps; whoever publishes must wake it.
  waiting INTEGER NOT NULL DEFAULT 0,
  lease_until INTEGER NOT NULL,
  -- How many messages it holds, retries among them.
  held INTEGER NOT NULL DEFAULT 0,
  -- The fresh messages it holds, as in 3-5,9; and the lowest of them.
  pending TEXT NOT NULL DEFAULT '',
  low INTEGER
);
CREATE INDEX pubsub_consumers_waiting ON pubsub_consumers (topic_id) WHERE waiting = 1;
CREATE INDEX pubsub_consumers_by_group ON pubsub_consumers (group_id);
CREATE TABLE pubsub_retries (
  group_id INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  -- How often it was refused.
  attempts INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  -- Who has it at the moment.
  consumer_id INTEGER,
  PRIMARY KEY (group_id, seq)
) WITHOUT ROWID;
CREATE INDEX pubsub_retries_by_seq ON pubsub_retries (seq);
"];
