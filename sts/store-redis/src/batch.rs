//! Commands that are sent together, and their replies.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Pipeline, Value};

use super::connection::Connected;
use super::error::{RedisStoreError, refuse_ends, refuse_errors};

/// Commands for one round trip.
pub(super) struct Batch {
    pipeline: Pipeline,
    commands: usize,
    atomic: bool,
    wait: Option<(u32, u64)>,
    allowance: Duration,
}

/// Octets for which a large batch gets one more millisecond.
const OCTETS_PER_MILLI: usize = 8 * 1024;

impl Batch {
    /// Commands without a transaction: those of other clients may run in between. An error takes
    /// its command's place among the replies, except one that ends the connection.
    pub(super) fn plain() -> Self {
        Self { pipeline: Pipeline::with_capacity(8), commands: 0, atomic: false, wait: None, allowance: Duration::ZERO }
    }

    /// A transaction: all commands or none (MULTI and EXEC).
    pub(super) fn atomic() -> Self {
        let mut batch = Self { atomic: true, ..Self::plain() };
        batch.pipeline.add_command(redis::cmd("MULTI"));
        batch
    }

    pub(super) fn add(&mut self, command: Cmd) -> &mut Self {
        self.pipeline.add_command(command);
        self.commands += 1;
        self
    }

    /// Delays the replies until this many replicas have the writes, for this many milliseconds at
    /// most.
    pub(super) fn wait_for(&mut self, replicas: u32, millis: u64) -> &mut Self {
        self.wait = (replicas > 0).then_some((replicas, millis));
        self
    }

    /// Prolongs the deadline for values of that many octets in all.
    pub(super) fn allow_for(&mut self, octets: usize) -> &mut Self {
        self.allowance = Duration::from_millis(u64::try_from(octets / OCTETS_PER_MILLI).unwrap_or(u64::MAX));
        self
    }

    /// How much longer than usual the replies may take.
    pub(super) fn allowance(&self) -> Duration {
        self.allowance
    }

    /// Sends the batch. Returns one reply per added command.
    pub(super) async fn send(
        mut self,
        connection: &mut redis::aio::MultiplexedConnection,
    ) -> Result<Vec<Value>, RedisStoreError> {
        if self.atomic {
            self.pipeline.add_command(redis::cmd("EXEC"));
        }
        if let Some((replicas, millis)) = self.wait {
            self.pipeline.add_command(redis::cmd("WAIT").arg(replicas).arg(millis).to_owned());
        }
        let sent = self.commands + if self.atomic { 2 } else { 0 } + usize::from(self.wait.is_some());
        let mut replies = connection.send_packed_commands(&self.pipeline, 0, sent).await?;
        if replies.len() != sent {
            return Err(RedisStoreError::Form);
        }
        let acknowledged = if self.wait.is_some() { replies.pop() } else { None };
        if self.atomic {
            let outcome = replies.pop();
            // An error while the commands are queued is the cause. EXEC only reports that it
            // aborted.
            refuse_errors(&replies)?;
            replies = match outcome {
                Some(Value::Array(replies)) if replies.len() == self.commands => replies,
                Some(Value::ServerError(error)) => return Err((&error).into()),
                Some(Value::Nil) => return Err(RedisStoreError::Conflict),
                _ => return Err(RedisStoreError::Form),
            };
            refuse_errors(&replies)?;
        } else {
            refuse_ends(&replies)?;
        }
        if let Some((wanted, _)) = self.wait {
            match acknowledged {
                Some(Value::Int(reached)) if reached >= i64::from(wanted) => {}
                Some(Value::Int(reached)) => {
                    return Err(RedisStoreError::Replicas { reached: u32::try_from(reached).unwrap_or(0), wanted });
                }
                Some(Value::ServerError(error)) => return Err((&error).into()),
                _ => return Err(RedisStoreError::Form),
            }
        }
        Ok(replies)
    }
}

/// The fields of a hash with their values.
pub(super) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Replies, read one after the other.
pub(super) struct Replies {
    values: std::vec::IntoIter<Value>,
    connected: Option<Arc<Connected>>,
}

impl From<Vec<Value>> for Replies {
    fn from(replies: Vec<Value>) -> Self {
        Self { values: replies.into_iter(), connected: None }
    }
}

impl Replies {
    /// Remembers the connection that the replies came over.
    pub(super) fn with_connection(self, connected: Arc<Connected>) -> Self {
        Self { connected: Some(connected), ..self }
    }

    /// The connection that the replies came over, if one of the pool sent the batch.
    pub(super) fn connected(&self) -> Option<&Arc<Connected>> {
        self.connected.as_ref()
    }

    /// The number of that connection.
    pub(super) fn connection(&self) -> u64 {
        self.connected.as_ref().map_or(0, |connected| connected.number)
    }

    /// The next reply, of any type. An error reply becomes an error.
    pub(super) fn value(&mut self) -> Result<Value, RedisStoreError> {
        match self.values.next().ok_or(RedisStoreError::Form)? {
            Value::ServerError(error) => Err((&error).into()),
            value => Ok(value),
        }
    }

    /// The next reply: octets, or nil.
    pub(super) fn bytes(&mut self) -> Result<Option<Vec<u8>>, RedisStoreError> {
        optional_bytes(self.value()?)
    }

    /// The next reply: a number.
    pub(super) fn number(&mut self) -> Result<i64, RedisStoreError> {
        match self.value()? {
            Value::Int(number) => Ok(number),
            _ => Err(RedisStoreError::Form),
        }
    }

    /// The next reply: whether a SET took place.
    pub(super) fn was_set(&mut self) -> Result<bool, RedisStoreError> {
        match self.value()? {
            Value::Okay => Ok(true),
            Value::Nil => Ok(false),
            _ => Err(RedisStoreError::Form),
        }
    }

    /// The next reply: a list of octets or nil.
    pub(super) fn list(&mut self) -> Result<Vec<Option<Vec<u8>>>, RedisStoreError> {
        match self.value()? {
            Value::Array(values) => values.into_iter().map(optional_bytes).collect(),
            _ => Err(RedisStoreError::Form),
        }
    }

    /// The next reply: a list of texts, or nil.
    pub(super) fn texts_or_none(&mut self) -> Result<Option<Vec<String>>, RedisStoreError> {
        match self.value()? {
            Value::Nil => Ok(None),
            Value::Array(values) => Ok(Some(texts(values)?)),
            _ => Err(RedisStoreError::Form),
        }
    }

    /// The next reply, of a scan: the next cursor, and the rows.
    pub(super) fn scan(&mut self) -> Result<(String, Vec<String>), RedisStoreError> {
        let Value::Array(parts) = self.value()? else { return Err(RedisStoreError::Form) };
        let Ok([cursor, Value::Array(found)]) = <[Value; 2]>::try_from(parts) else {
            return Err(RedisStoreError::Form);
        };
        let cursor = texts(vec![cursor])?.pop().ok_or(RedisStoreError::Form)?;
        Ok((cursor, texts(found)?))
    }

    /// The next reply, of a scan of a hash: the next cursor, and fields with their values.
    pub(super) fn scan_fields(&mut self) -> Result<(String, Fields), RedisStoreError> {
        let Value::Array(parts) = self.value()? else { return Err(RedisStoreError::Form) };
        let Ok([cursor, Value::Array(found)]) = <[Value; 2]>::try_from(parts) else {
            return Err(RedisStoreError::Form);
        };
        let cursor = texts(vec![cursor])?.pop().ok_or(RedisStoreError::Form)?;
        let mut flat = found.into_iter();
        let mut fields = Vec::new();
        while let (Some(field), Some(value)) = (flat.next(), flat.next()) {
            let (Some(field), Some(value)) = (optional_bytes(field)?, optional_bytes(value)?) else {
                return Err(RedisStoreError::Form);
            };
            fields.push((field, value));
        }
        Ok((cursor, fields))
    }

    /// The next reply: a list of texts.
    pub(super) fn texts(&mut self) -> Result<Vec<String>, RedisStoreError> {
        self.texts_or_none()?.ok_or(RedisStoreError::Form)
    }
}

fn texts(values: Vec<Value>) -> Result<Vec<String>, RedisStoreError> {
    values
        .into_iter()
        .map(|value| {
            optional_bytes(value)?.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(RedisStoreError::Form)
        })
        .collect()
}

fn optional_bytes(value: Value) -> Result<Option<Vec<u8>>, RedisStoreError> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::SimpleString(text) => Ok(Some(text.into_bytes())),
        Value::ServerError(error) => Err((&error).into()),
        _ => Err(RedisStoreError::Form),
    }
}

/// A command with room for this many arguments, beside values of this many octets in all.
pub(super) fn sized(name: &str, arguments: usize, octets: usize) -> Cmd {
    // Our key names have some 50 octets.
    let mut command = Cmd::with_capacity(arguments + 1, name.len() + arguments * 64 + octets);
    command.arg(name);
    command
}

pub(super) fn command<A: redis::ToRedisArgs>(name: &str, arguments: &[A]) -> Cmd {
    let mut command = sized(name, arguments.len(), 0);
    for argument in arguments {
        command.arg(argument);
    }
    command
}
