//! A push's path: which group of metrics it is about.
//!
//! The rules are the Pushgateway's (github.com/prometheus/pushgateway, README, "URL"): percent-encoding,
//! and base64url for values that a path segment cannot hold.

use base64::Engine as _;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::GeneralPurposeConfig;
use percent_encoding::percent_decode_str;

use super::exposition::Labels;

/// What a group's path begins with.
const PREFIX: &str = "/metrics/";
/// What marks a label whose value is encoded.
const BASE64: &str = "@base64";
/// More labels than this are a mistake.
const LABELS_MAX: usize = 64;
/// A longer path is a mistake: its labels go into each sample.
const PATH_BYTES_MAX: usize = 1024;
/// With or without padding: both are pushed.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
);

/// Why a path names no group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathError {
    /// Not a path for pushes at all.
    #[error("push to /metrics/job/<job>{{/<label>/<value>}}")]
    Elsewhere,
    /// A label without a value.
    #[error("the path ends with a label that has no value")]
    NoValue,
    /// A label whose name is empty.
    #[error("a label in the path has no name")]
    NoName,
    /// A value that cannot be decoded.
    #[error("a value in the path cannot be decoded")]
    Encoding,
    /// No value for `job`.
    #[error("the job in the path is empty")]
    NoJob,
    /// Too many labels.
    #[error("there are more than 64 labels in the path")]
    TooMany,
    /// Too long a path.
    #[error("the path is longer than 1 KiB")]
    TooLong,
}

/// The grouping labels of a path, `job` among them. `path` is as it stands in the request, encoded.
pub(crate) fn labels(path: &str) -> Result<Labels, PathError> {
    let rest = path.strip_prefix(PREFIX).ok_or(PathError::Elsewhere)?;
    if path.len() > PATH_BYTES_MAX {
        return Err(PathError::TooLong);
    }
    let mut segments = rest.split('/');
    let mut labels = Labels::new();
    while let Some(segment) = segments.next() {
        let (name, encoded) = match segment.strip_suffix(BASE64) {
            Some(name) => (name, true),
            None => (segment, false),
        };
        let name = decoded(name)?;
        if labels.is_empty() && name != "job" {
            return Err(PathError::Elsewhere);
        }
        if name.is_empty() {
            return Err(PathError::NoName);
        }
        let value = decoded(segments.next().ok_or(PathError::NoValue)?)?;
        let value = if encoded { from_base64(&value)? } else { value };
        if labels.len() >= LABELS_MAX {
            return Err(PathError::TooMany);
        }
        labels.insert(name, value);
    }
    if labels["job"].is_empty() {
        return Err(PathError::NoJob);
    }
    Ok(labels)
}

fn decoded(segment: &str) -> Result<String, PathError> {
    let text = percent_decode_str(segment).decode_utf8();
    Ok(text.map_err(|_| PathError::Encoding)?.into_owned())
}

fn from_base64(value: &str) -> Result<String, PathError> {
    // An empty segment would vanish, so a lone padding character stands for the empty value.
    let bytes = ENGINE
        .decode(value.trim_end_matches('='))
        .map_err(|_| PathError::Encoding)?;
    String::from_utf8(bytes).map_err(|_| PathError::Encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expect: Result<&[(&str, &str)], PathError>) {
        let expect = expect.map(|labels| {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            labels.iter().map(owned).collect()
        });
        assert_eq!(labels(path), expect, "{path}");
    }

    #[test]
    fn groups() {
        check("/metrics/job/mine", Ok(&[("job", "mine")]));
        check(
            "/metrics/job/mine/job_id/shop-v2-1a/database/shop",
            Ok(&[
                ("job", "mine"),
                ("job_id", "shop-v2-1a"),
                ("database", "shop"),
            ]),
        );
        check(
            "/metrics/job/a%20b/x/c%2Fd",
            Ok(&[("job", "a b"), ("x", "c/d")]),
        );
        check(
            "/metrics/job/mine/database@base64/c2hvcC9jdXN0b21lcnM",
            Ok(&[("job", "mine"), ("database", "shop/customers")]),
        );
        check(
            "/metrics/job/mine/team@base64/=",
            Ok(&[("job", "mine"), ("team", "")]),
        );
        check("/metrics/job@base64/bWluZQ==", Ok(&[("job", "mine")]));
        check("/metrics/job/mine/x/", Ok(&[("job", "mine"), ("x", "")]));
    }

    #[test]
    fn what_names_no_group() {
        check("/metrics", Err(PathError::Elsewhere));
        check("/metrics/", Err(PathError::Elsewhere));
        check("/metrics/instance/x/job/y", Err(PathError::Elsewhere));
        check("/metrics/job", Err(PathError::NoValue));
        check("/metrics/job/", Err(PathError::NoJob));
        check("/metrics/job/mine/x", Err(PathError::NoValue));
        check("/metrics/job/mine//y", Err(PathError::NoName));
        check("/metrics/job/mine/x@base64/%21", Err(PathError::Encoding));
        check("/metrics/job/mine/x/%FF", Err(PathError::Encoding));
        let many: String = (0..=LABELS_MAX).map(|n| format!("/l{n}/v")).collect();
        check(&format!("/metrics/job/mine{many}"), Err(PathError::TooMany));
        let long = format!("/metrics/job/{}", "x".repeat(PATH_BYTES_MAX));
        check(&long, Err(PathError::TooLong));
    }
}
