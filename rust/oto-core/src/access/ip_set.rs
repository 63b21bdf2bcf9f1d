//! Sets of addresses, as Otoroshi's configs write them: an entry with `/` is a range (CIDR), one with
//! `*` a pattern for the address as text, any other one address.
//!
//! Ranges are merged and looked up by bisection, and a pattern whose only star is the last character
//! by its prefix, so a list of thousands costs about as much as a list of ten.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::router::glob::glob_matches;

/// A set of addresses.
#[derive(Clone, Debug, Default)]
pub struct IpSet {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
    prefixes: HashSet<Box<str>, foldhash::fast::RandomState>,
    prefix_lengths: Vec<usize>,
    globs: Vec<Box<str>>,
}

impl IpSet {
    /// Read a list. Empty entries, as a console leaves behind, mean nothing.
    ///
    /// # Errors
    /// Which entry of `field` is no address, and what to write.
    pub fn build(field: &str, entries: &[String]) -> Result<Self, String> {
        let mut set = Self::default();
        for (at, entry) in entries.iter().enumerate() {
            let entry = entry.trim();
            if !entry.is_empty() && !set.add(entry) {
                return Err(format!(
                    "{field}[{at}]: {entry:?} is no address; write one (10.0.0.7), a range \
                     (10.0.0.0/8) or a pattern (10.0.*)"
                ));
            }
        }
        merge(&mut set.v4);
        merge(&mut set.v6);
        set.prefix_lengths = set.prefixes.iter().map(|prefix| prefix.len()).collect();
        set.prefix_lengths.sort_unstable();
        set.prefix_lengths.dedup();
        Ok(set)
    }

    fn add(&mut self, entry: &str) -> bool {
        if let Some((address, length)) = entry.split_once('/') {
            return self.add_range(address, length).is_some();
        }
        match entry.strip_suffix('*') {
            Some(prefix) if !prefix.contains('*') => {
                self.prefixes.insert(prefix.into());
                true
            }
            _ if entry.contains('*') => {
                self.globs.push(entry.into());
                true
            }
            _ => entry.parse().is_ok_and(|ip: IpAddr| {
                match ip.to_canonical() {
                    IpAddr::V4(ip) => self.v4.push((ip.into(), ip.into())),
                    IpAddr::V6(ip) => self.v6.push((ip.into(), ip.into())),
                }
                true
            }),
        }
    }

    fn add_range(&mut self, address: &str, length: &str) -> Option<()> {
        if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (ip, length): (IpAddr, u32) = (address.parse().ok()?, length.parse().ok()?);
        match ip {
            IpAddr::V4(ip) if length <= 32 => {
                let mask = u32::MAX.checked_shr(length).unwrap_or(0);
                let first = u32::from(ip) & !mask;
                self.v4.push((first, first | mask));
            }
            IpAddr::V6(ip) if length <= 128 => {
                let mask = u128::MAX.checked_shr(length).unwrap_or(0);
                let first = u128::from(ip) & !mask;
                match Ipv6Addr::from(first).to_ipv4_mapped() {
                    Some(v4) if length >= 96 => {
                        let first = u32::from(v4);
                        self.v4.push((first, first | u32::try_from(mask).ok()?));
                    }
                    _ => self.v6.push((first, first | mask)),
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// Whether the list has no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty()
            && self.v6.is_empty()
            && self.prefixes.is_empty()
            && self.globs.is_empty()
    }

    /// Whether an address is in the set. An IPv4 address in IPv6 dress counts as IPv4.
    #[must_use]
    pub fn contains_ip(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let in_ranges = match ip {
            IpAddr::V4(ip) => in_ranges(&self.v4, ip.into()),
            IpAddr::V6(ip) => in_ranges(&self.v6, ip.into()),
        };
        in_ranges || (self.has_patterns() && self.matches(&ip.to_string()))
    }

    /// Whether what a trusted proxy calls the client's address is in the set; a text that is no
    /// address can only match a pattern.
    #[must_use]
    pub fn contains(&self, address: &str) -> bool {
        match address.parse() {
            Ok(ip) => self.contains_ip(ip),
            Err(_) => self.matches(address),
        }
    }

    fn has_patterns(&self) -> bool {
        !self.prefixes.is_empty() || !self.globs.is_empty()
    }

    fn matches(&self, text: &str) -> bool {
        let prefixes = self.prefix_lengths.iter();
        prefixes
            .filter_map(|length| text.get(..*length))
            .any(|prefix| self.prefixes.contains(prefix))
            || self
                .globs
                .iter()
                .any(|glob| glob_matches(glob.as_bytes(), text.as_bytes()))
    }
}

impl<'de> Deserialize<'de> for IpSet {
    fn deserialize<D: Deserializer<'de>>(list: D) -> Result<Self, D::Error> {
        let entries = Vec::<String>::deserialize(list)?;
        Self::build("addresses", &entries).map_err(D::Error::custom)
    }
}

fn merge<T: Copy + Ord>(ranges: &mut Vec<(T, T)>) {
    ranges.sort_unstable();
    ranges.dedup_by(|next, kept| {
        let overlaps = next.0 <= kept.1;
        if overlaps {
            kept.1 = kept.1.max(next.1);
        }
        overlaps
    });
}

fn in_ranges<T: Copy + Ord>(ranges: &[(T, T)], value: T) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= value);
    after
        .checked_sub(1)
        .and_then(|at| ranges.get(at))
        .is_some_and(|(_, last)| value <= *last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(entries: &[&str]) -> IpSet {
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        IpSet::build("addresses", &entries).expect("valid")
    }

    #[test]
    fn every_form_of_entry_matches_what_it_says() {
        for (entry, inside, outside) in [
            ("10.0.0.7", "10.0.0.7", "10.0.0.70"),
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3/16", "10.1.255.255", "10.2.0.0"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("10.0.*", "10.0.9.9", "10.1.0.0"),
            ("10.*.7", "10.0.0.7", "10.0.0.8"),
            ("*", "2001:db8::1", ""),
            ("2001:db8::/32", "2001:db8:ffff::", "2001:db9::"),
            ("2001:db8::1", "2001:DB8:0::1", "2001:db8::2"),
            ("::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.0"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::10.0.0.1"),
            ("2001:db8:*", "2001:DB8::1", "2001:db9::1"),
            ("unkn*", "unknown", "10.0.0.1"),
        ] {
            let set = set(&[entry]);
            assert!(set.contains(inside), "{entry} has {inside}");
            assert!(
                outside.is_empty() || !set.contains(outside),
                "{entry} has not {outside}"
            );
        }
    }

    #[test]
    fn overlapping_ranges_are_one() {
        let set = set(&["10.0.0.0/8", "10.1.0.0/16", "9.255.255.255", "12.0.0.1"]);
        assert_eq!(set.v4.len(), 3);
        assert!(set.contains("10.200.0.1") && set.contains("12.0.0.1"));
        assert!(!set.contains("11.0.0.1"));
    }

    #[test]
    fn nonsense_is_named() {
        for entry in [
            "10.0.0",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/255.0.0.0",
            "a/8",
            "10.0.0.0/",
            "x",
        ] {
            let problem = IpSet::build("addresses", &["".into(), entry.into()]).expect_err("bad");
            assert!(problem.starts_with("addresses[1]: "), "{problem}");
        }
        assert!(set(&["", " "]).is_empty());
    }
}
