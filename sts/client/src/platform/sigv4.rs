//! Signature Version 4
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).

use reqwest::Url;
use serde_json::Value;
use sts_jose::{hmac_sha256, sha256};
use sts_types::UnixTime;
use zeroize::Zeroizing;

/// Credentials of AWS.
pub(super) struct Credentials {
    pub(super) id: String,
    pub(super) secret: Zeroizing<String>,
    pub(super) session_token: Option<Zeroizing<String>>,
}

impl Credentials {
    /// The credentials in an answer of a container's or a machine's endpoint.
    pub(super) fn read(answer: &Value) -> Option<Self> {
        let member = |name: &str| answer.get(name).and_then(Value::as_str);
        Some(Self {
            id: member("AccessKeyId")?.to_owned(),
            secret: Zeroizing::new(member("SecretAccessKey")?.to_owned()),
            session_token: member("Token").map(|token| Zeroizing::new(token.to_owned())),
        })
    }
}

/// A `POST` of a form to the root of a service, to be signed.
pub(super) struct SignedRequest<'a> {
    pub(super) url: &'a Url,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
    pub(super) body: &'a str,
    pub(super) now: UnixTime,
}

const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";

impl SignedRequest<'_> {
    /// The headers of the request, `Authorization` among them.
    pub(super) fn headers(&self, credentials: &Credentials) -> Vec<(&'static str, String)> {
        let time = self.time();
        let date = time.get(..8).unwrap_or_default();
        let mut headers =
            vec![("content-type", CONTENT_TYPE.to_owned()), ("host", self.host()), ("x-amz-date", time.clone())];
        headers.extend(credentials.session_token.iter().map(|token| ("x-amz-security-token", token.to_string())));

        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let listed: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical = format!("POST\n/\n\n{listed}\n{names}\n{}", hexadecimal(&sha256(self.body.as_bytes()).0));
        let scope = format!("{date}/{}/{}/aws4_request", self.region, self.service);
        let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hexadecimal(&sha256(canonical.as_bytes()).0));

        let secret = Zeroizing::new(format!("AWS4{}", *credentials.secret));
        let key = [date, self.region, self.service, "aws4_request"]
            .iter()
            .fold(Zeroizing::new(secret.as_bytes().to_vec()), |key, part| {
                Zeroizing::new(hmac_sha256(&key, part.as_bytes()).to_vec())
            });
        let signature = hexadecimal(&hmac_sha256(&key, to_sign.as_bytes()));
        let id = &credentials.id;
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}");
        // The client sets `host` itself.
        headers.retain(|(name, _)| *name != "host");
        headers.push(("authorization", authorization));
        headers
    }

    /// As the client sends it: without the scheme's own port.
    fn host(&self) -> String {
        let port = self.url.port().map_or_else(String::new, |port| format!(":{port}"));
        format!("{}{port}", self.url.host_str().unwrap_or_default())
    }

    /// The basic form of ISO 8601: `20150830T123600Z`.
    fn time(&self) -> String {
        let time = self.now.to_rfc3339().unwrap_or_default();
        time.chars().filter(|character| !matches!(character, '-' | ':')).collect()
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The case `post-x-www-form-urlencoded` of AWS's published test suite for Signature Version 4.
    #[test]
    fn a_form_is_signed_as_in_awss_own_test_suite() {
        let credentials = Credentials {
            id: "AKIDEXAMPLE".to_owned(),
            secret: Zeroizing::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned()),
            session_token: None,
        };
        let url = Url::parse("https://example.amazonaws.com/").unwrap();
        let now = UnixTime::from_rfc3339("2015-08-30T12:36:00Z").unwrap();
        let request = SignedRequest { url: &url, region: "us-east-1", service: "service", body: "Param1=value1", now };
        let headers = request.headers(&credentials);
        let (_, authorization) = headers.iter().find(|(name, _)| *name == "authorization").unwrap();
        assert_eq!(
            authorization,
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
        );
    }
}
