//! Exchanges by time: `/admin/v1/activity`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sts_types::UnixTime;
use utoipa::{IntoParams, ToSchema};

use crate::names::names;
use crate::query::{QueryError, parameters, written};
use crate::schema::EpochSeconds;

names! {
    /// A time up to now.
    pub enum ActivityPeriod {
        /// 60 minutes, in intervals of one minute.
        Hour = "hour",
        /// 24 hours, in intervals of one hour.
        Day = "day",
        /// 168 hours, in intervals of one hour.
        Week = "week",
    }
}

impl ActivityPeriod {
    /// Seconds of one interval.
    #[must_use]
    pub const fn interval(self) -> i64 {
        match self {
            Self::Hour => 60,
            Self::Day | Self::Week => 3600,
        }
    }

    /// The number of intervals.
    #[must_use]
    pub const fn intervals(self) -> i64 {
        match self {
            Self::Hour => 60,
            Self::Day => 24,
            Self::Week => 168,
        }
    }
}

/// The answer of `GET /admin/v1/activity`: the exchanges of this server. Other replicas count their own, and
/// nothing is kept over a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Activity {
    /// The period.
    pub period: ActivityPeriod,
    /// When this server began to count.
    #[schema(value_type = EpochSeconds)]
    pub counted_since: UnixTime,
    /// Seconds of one interval.
    pub interval: i64,
    /// Every interval of the period, oldest first. The last one is not over yet.
    pub intervals: Vec<ActivityInterval>,
}

/// The exchanges that ended in one interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActivityInterval {
    /// Its first second.
    #[schema(value_type = EpochSeconds)]
    pub start: UnixTime,
    /// Exchanges that were granted.
    pub granted: u64,
    /// Exchanges whose caller hung up before there was an answer.
    pub abandoned: u64,
    /// Exchanges that were refused or could not be decided, by their reason.
    pub refused: BTreeMap<String, u64>,
}

/// The query string of `GET /admin/v1/activity`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ActivityQuery {
    /// How far back.
    #[param(nullable = false, inline, default = "hour")]
    pub period: Option<ActivityPeriod>,
}

impl ActivityQuery {
    /// Reads a query string.
    ///
    /// # Errors
    /// When a parameter is unknown, given twice, or has no such value.
    pub fn from_query(query: &str) -> Result<Self, QueryError> {
        let mut read = Self::default();
        for (name, value) in parameters(query) {
            if name != "period" || read.period.is_some() {
                return Err("activity takes one `period` at most".into());
            }
            read.period = Some(ActivityPeriod::of(&value).ok_or("`period` is `hour`, `day` or `week`")?);
        }
        Ok(read)
    }

    /// The query string.
    #[must_use]
    pub fn to_query(&self) -> String {
        written(&[("period", self.period.map(|period| period.to_string()))])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn activity_is_read_as_it_was_written() {
        let text = json!({
            "period": "day", "counted_since": 1, "interval": 3600,
            "intervals": [{ "start": 3600, "granted": 2, "abandoned": 1, "refused": { "token_expired": 3 } }],
        });
        let read: Activity = serde_json::from_value(text.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), text);
    }

    #[test]
    fn a_query_is_read_as_it_was_written_and_names_one_period() {
        for period in ActivityPeriod::ALL {
            let query = ActivityQuery { period: Some(*period) };
            assert_eq!(ActivityQuery::from_query(&query.to_query()), Ok(query));
        }
        assert_eq!(ActivityQuery::from_query(""), Ok(ActivityQuery::default()));
        for wrong in ["period=year", "period=day&period=day", "since=1"] {
            assert!(ActivityQuery::from_query(wrong).is_err(), "{wrong}");
        }
    }
}
