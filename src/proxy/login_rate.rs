//! How many failed logins one network may make in a while. Pure: the time is given.
//!
//! API keys cannot be guessed; this bounds what a flood of guesses writes into the audit log and costs in hashing. It
//! goes by network and never by client name: whoever knows a name could lock its client out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

/// Failed logins of one network within [`WINDOW_S`] after which no further one is looked at.
const FAILURES_MAX: u32 = 20;
/// Seconds until a network's failures are forgotten.
const WINDOW_S: i64 = 60;
/// Networks that are remembered. When there are more, those whose time is over go, then all.
const NETWORKS_MAX: usize = 4_096;

/// The failures of late.
#[derive(Debug, Default)]
pub struct LoginRate(Mutex<HashMap<IpAddr, Failures>>);

#[derive(Debug, Clone, Copy)]
struct Failures {
    since_s: i64,
    count: u32,
}

/// An IPv4 address, or the /64 of an IPv6 one: a single subscriber has all of it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let upper = u128::from(v6) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(upper))
        }
        v4 => v4,
    }
}

impl LoginRate {
    /// Whether a login from `address` is looked at, at `now_s` (Unix seconds).
    pub fn allows(&self, address: IpAddr, now_s: i64) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get(&network(address))
            .is_none_or(|f| !is_current(f, now_s) || f.count < FAILURES_MAX)
    }

    /// A login from `address` failed.
    pub fn failed(&self, address: IpAddr, now_s: i64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= NETWORKS_MAX {
            known.retain(|_, f| is_current(f, now_s));
            if known.len() >= NETWORKS_MAX {
                known.clear();
            }
        }
        let failures = known.entry(network(address)).or_insert(Failures {
            since_s: now_s,
            count: 0,
        });
        if !is_current(failures, now_s) {
            *failures = Failures {
                since_s: now_s,
                count: 0,
            };
        }
        failures.count = failures.count.saturating_add(1);
    }
}

fn is_current(failures: &Failures, now_s: i64) -> bool {
    (0..WINDOW_S).contains(&now_s.saturating_sub(failures.since_s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_not_looked_at_until_its_time_is_over() {
        let rate = LoginRate::default();
        let here: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..FAILURES_MAX {
            assert!(rate.allows(here, 100));
            rate.failed(here, 100);
        }
        assert!(!rate.allows(here, 100) && !rate.allows(here, 159));
        assert!(!rate.allows("::ffff:192.0.2.1".parse().unwrap(), 100));
        assert!(rate.allows("192.0.2.2".parse().unwrap(), 100));
        assert!(rate.allows(here, 160));
        rate.failed(here, 160);
        assert!(rate.allows(here, 160));
    }

    #[test]
    fn a_whole_subscriber_counts_as_one_and_memory_is_bounded() {
        let rate = LoginRate::default();
        for n in 0..FAILURES_MAX {
            rate.failed(format!("2001:db8::{n:x}").parse().unwrap(), 5);
        }
        assert!(!rate.allows("2001:db8::ffff".parse().unwrap(), 5));
        assert!(rate.allows("2001:db8:0:1::1".parse().unwrap(), 5));
        for n in 0..2 * NETWORKS_MAX {
            let address = Ipv6Addr::from((n as u128) << 64);
            rate.failed(address.into(), 5);
        }
        assert!(rate.0.lock().unwrap().len() <= NETWORKS_MAX);
    }
}
