//! The stable codes of the findings of `sts check`. Scripts and pages refer to a finding by its
//! code: a message may change, its code may not.

/// Declares the codes once, so that the list, the texts and the meanings cannot drift apart.
macro_rules! check_codes {
    ($($code:ident $text:literal $meaning:literal)*) => {
        /// The rule behind a finding. A code is never renamed or reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum CheckCode {
            $(#[doc = $meaning] $code,)*
        }

        impl CheckCode {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$code,)*];

            /// The code in kebab case, as printed.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$code => $text,)*
                }
            }

            /// The meaning of the code, in one sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$code => $meaning,)*
                }
            }
        }
    };
}

check_codes! {
    // The text of a file.
    YamlSyntax "yaml-syntax" "The file is not valid YAML."
    YamlUnquotedString "yaml-unquoted-string" "YAML reads this string as something else unless it is quoted."
    YamlEscape "yaml-escape" "A double-quoted string has a backslash before a character that cannot be escaped."
    YamlTab "yaml-tab" "A line is indented with a tab."
    YamlMissingSpace "yaml-missing-space" "There is no space between a colon and its value."
    YamlAnchor "yaml-anchor" "YAML anchors are not supported."
    YamlAlias "yaml-alias" "YAML aliases are not supported."
    YamlMergeKey "yaml-merge-key" "YAML merge keys are not supported."
    YamlTag "yaml-tag" "YAML tags are not supported."
    YamlKeyNotString "yaml-key-not-string" "A key of a mapping is a list or another mapping."
    YamlMultipleDocuments "yaml-multiple-documents" "The file has more than one YAML document."
    YamlTooLarge "yaml-too-large" "The file is nested too deeply, or has too many values or mistakes to read on."
    DuplicateKey "duplicate-key" "A mapping has the same key twice."

    // Keys and values.
    UnknownKey "unknown-key" "There is no such key here."
    MissingKey "missing-key" "A required key is missing."
    MissingValue "missing-value" "A key has no value."
    WrongType "wrong-type" "A value is a mapping, list or scalar where another of these is required."
    EmptyList "empty-list" "A list that needs an item has none."
    DuplicateValue "duplicate-value" "A list has the same value twice."
    ConflictingKeys "conflicting-keys" "Two keys cannot be used together."
    KeyWithoutEffect "key-without-effect" "A key has no effect beside the other keys, so its author expects something that does not happen."
    UnknownValue "unknown-value" "The value is not one of those that the key takes."
    AmbiguousScalar "ambiguous-scalar" "An unquoted value is a number, boolean or null to YAML and may be meant as a string."
    InvalidName "invalid-name" "A name, scope, audience or issuer does not follow its grammar."
    InvalidBoolean "invalid-boolean" "The value is neither `true` nor `false`."
    InvalidNumber "invalid-number" "The value is not a whole number within the limits of the key."
    InvalidDuration "invalid-duration" "The value is not a duration such as `90s`."
    DurationOutOfRange "duration-out-of-range" "The duration is shorter or longer than the key allows."
    InvalidTime "invalid-time" "The value is not an RFC 3339 time."
    InvalidPath "invalid-path" "The value cannot be the path of a file."
    TrailingLineBreak "trailing-line-break" "A pattern ends in a line break and would match nothing."
    VariableNotSet "variable-not-set" "An environment variable that the configuration names is not set."
    InvalidVariable "invalid-variable" "An environment variable has a wrong name, replaces a part of a value, or contains a control character."

    // Files.
    UnreadableFile "unreadable-file" "A file or folder is missing or cannot be read."
    FileNotUtf8 "file-not-utf8" "A file is not UTF-8 text."
    FileTooLarge "file-too-large" "A file is larger than any that is read."
    NoMatchingFile "no-matching-file" "No file matches a pattern of `accounts`."
    InvalidFilePattern "invalid-file-pattern" "A pattern of `accounts` has a `*` before its last part."
    MissingSecret "missing-secret" "A secret file or certificate is missing, or this user may not read it."
    ExposedSecret "exposed-secret" "Somebody else can read or replace a secret file."
    GroupReadableSecret "group-readable-secret" "A group of the server's own process can read a secret file or folder."
    InvalidSecret "invalid-secret" "A secret file does not hold one line of printable text."
    WeakSecret "weak-secret" "A secret is short enough to be guessed."
    ExposedFolder "exposed-folder" "Somebody else can write to a folder of the server."
    InvalidClaimsFile "invalid-claims-file" "The file of a policy test does not contain the claims of a token."

    // The server.
    InvalidUrl "invalid-url" "The value is not a URL that the key takes."
    CredentialsInUrl "credentials-in-url" "A URL contains a user name or password."
    PlainHttp "plain-http" "A URL uses plain http where it is not allowed."
    InvalidAddress "invalid-address" "The value is not an IP address with a port."
    InvalidAddressBlock "invalid-address-block" "The value is not an IP address block."
    BroadProxyRange "broad-proxy-range" "`behind_tls_proxy` trusts more addresses than a subnet of proxies has."
    ListenerWithoutTls "listener-without-tls" "A listener is reachable from other machines and has no TLS."
    ListenerConflict "listener-conflict" "Two listeners have the same address."
    InvalidHostName "invalid-host-name" "The value is not a host name."
    InvalidStore "invalid-store" "The store's URL or one of its settings is not valid."
    StoreWithoutTls "store-without-tls" "The connection to Redis is not encrypted."
    InvalidProxy "invalid-proxy" "The value is not the URL of an outbound proxy."
    InvalidCertificate "invalid-certificate" "A certificate chain or its key cannot be used, or they do not belong together."
    CertificateExpired "certificate-expired" "A certificate has expired."
    CertificateNotYetValid "certificate-not-yet-valid" "A certificate is not valid yet."
    CertificateWrongHost "certificate-wrong-host" "A certificate does not name the host of `issuer`."
    UnusableSigningKeys "unusable-signing-keys" "The signing keys cannot be read or used."

    // Issuer entries.
    DiscoveryUrlAsIssuer "discovery-url-as-issuer" "`issuer` is the URL of a discovery document or key set."
    NotAPlatformIssuer "not-a-platform-issuer" "The host is that of a known platform, and the URL is not one of its issuers."
    AnyTenantIssuer "any-tenant-issuer" "The issuer accepts every tenant of a platform."
    LookAlikeIssuer "look-alike-issuer" "The host looks like that of a known platform and belongs to somebody else."
    IssuerSlash "issuer-slash" "The issuer differs from a known one by its last slash."
    HiddenCharacter "hidden-character" "An issuer or URL has a blank, control character or invisible character in it."
    OwnIssuer "own-issuer" "An issuer entry or API claims what belongs to this server's own issuer."
    InvalidIssuerTemplate "invalid-issuer-template" "An `issuer_template` or one of its variables is not valid."
    OverlappingFamilies "overlapping-families" "One issuer can belong to two families."
    IssuerWithoutKeys "issuer-without-keys" "Issuer entries share an issuer or trust domain, and their keys do not tell them apart."
    SharedKey "shared-key" "Two issuer entries of one issuer or trust domain hold the same key."
    InvalidKeySet "invalid-key-set" "The value or file is not a usable set of public keys."
    InvalidCaFile "invalid-ca-file" "The file does not hold CA certificates in PEM."
    AddressNotAllowed "address-not-allowed" "The address of an issuer or key set may not be connected to."
    NoAlgorithm "no-algorithm" "An issuer entry allows no algorithm."
    UnknownPreset "unknown-preset" "There is no preset of that name."
    PresetMismatch "preset-mismatch" "The preset is not that of the issuer's platform."
    PresetRequired "preset-required" "An identity is written for a platform, and its issuer entry does not name it."
    SharedContradicted "shared-contradicted" "The issuer signs for many tenants, and its entry says otherwise."
    InvalidClaimName "invalid-claim-name" "The value is neither a claim's name nor a JSON pointer to one."
    InvalidOwnerClaim "invalid-owner-claim" "`owner_claims` names a claim that cannot tell tenants apart."
    DoubtfulOwnerClaim "doubtful-owner-claim" "`owner_claims` names a claim whose values each tenant chooses."
    InvalidTrustDomain "invalid-trust-domain" "The value is not a SPIFFE trust domain."

    // APIs, teams, accounts and identities.
    DuplicateName "duplicate-name" "Two things of one namespace have the same name."
    ReservedName "reserved-name" "The name belongs to the built-in API."
    InvalidAudience "invalid-audience" "An API's audience is not a URI without a fragment."
    DuplicateAudience "duplicate-audience" "Two APIs have the same audience."
    IgnoredScope "ignored-scope" "A declared scope is one that requests cannot ask for."
    UnknownTeam "unknown-team" "There is no team of that name."
    UnknownActor "unknown-actor" "`delegation` names a service account that does not exist."
    InvalidDirectory "invalid-directory" "A setting of a directory, or a group or login in it, is not valid."
    UnknownDirectory "unknown-directory" "There is no directory of that name."
    DuplicateLogin "duplicate-login" "Two service accounts have the same login in a directory; letter case does not count."
    UnusedLogin "unused-login" "A service account has a login in a directory of which no group gives a team."
    StrangersGroup "strangers-group" "A team is given by a group that strangers can name in their tokens."
    SelfDelegation "self-delegation" "`delegation` of a service account names the account itself."
    UnknownIssuerEntry "unknown-issuer-entry" "There is no issuer entry of that name."
    UnknownApi "unknown-api" "There is no API of that name."
    UnknownScope "unknown-scope" "The API does not declare that scope."
    ScopeNotGranted "scope-not-granted" "An identity asks for a scope that its service account is not granted."
    ApiNotGranted "api-not-granted" "An account or identity names an API that the account is not granted."
    EmptyGrant "empty-grant" "A grant of an API with scopes lists none of them."
    TtlOverMaximum "ttl-over-maximum" "A `ttl` is longer than `tokens.max_ttl`."
    NeverInForce "never-in-force" "`not_after` is not later than `not_before`."
    ShortRuleMismatch "short-rule-mismatch" "A platform's block is in an identity of another platform's issuer."
    EmptyCondition "empty-condition" "A condition or a platform's block matches on nothing."
    InvalidPattern "invalid-pattern" "The value is not a pattern."
    InvalidRegex "invalid-regex" "The value is not a regular expression that can be used."
    ImpossibleCondition "impossible-condition" "No token can meet the condition."
    AmbiguousVariable "ambiguous-variable" "A condition is on a variable of one issuer entry and on a claim of another."
    MissingReason "missing-reason" "`allow_broad` does not say why."

    // Rules that are refused as unsafe.
    BroadSubject "broad-subject" "A pattern reaches across owners of a shared issuer."
    AnyOwner "any-owner" "An identity of a shared issuer fixes no owner."
    AnyFamilyMember "any-family-member" "An identity accepts tokens of every member of a family."
    LoneWildcard "lone-wildcard" "A subject ends in a lone `*` that matches no branch."
    UnprotectedSharedIssuer "unprotected-shared-issuer" "`preset: none` takes the protection of a shared issuer away."

    // Warnings about rules that load.
    SharedAudience "shared-audience" "Other services accept the same audience."
    SingleUseWithoutJti "single-use-without-jti" "Tokens of the platform have no `jti` and are handed out more than once."
    UnverifiedEmail "unverified-email" "A condition on `email` does not ask for `email_verified`."
    DefaultServiceAccount "default-service-account" "An identity accepts the Kubernetes service account of every pod that names none."
    RecycledName "recycled-name" "An identity relies on a name that somebody else can register later."
    TenancyUnknown "tenancy-unknown" "Nothing says whether others can get tokens of a public issuer."
    UnnamedEvent "unnamed-event" "A condition on `event_name` lists no event by its full name."
    BroadIdentity "broad-identity" "An identity accepts every token of an issuer, or nearly every one."
    EnvironmentWithoutBranch "environment-without-branch" "A subject names a GitHub environment and no branch."
    CustomisedSubject "customised-subject" "A subject follows a customised template of GitHub."
    ShadowedIdentity "shadowed-identity" "An earlier identity accepts everything that this one does."
    ShadowedObject "shadowed-object" "A managed object has the kind and name of one that a file declares, which wins."
    AmbiguousAccounts "ambiguous-accounts" "One token can reach two accounts."
    OverlapsNotAllShown "overlaps-not-all-shown" "There are more overlaps than are compared or shown."
    ConsoleOpen "console-open" "The conditions of `console` let in people whom nobody chose."
    ReassignableUsername "reassignable-username" "The conditions of `console` name people by `preferred_username` alone."
    ConsoleOverlap "console-overlap" "A service account's token may meet the conditions of `console`."

    // Policy tests.
    PolicyTestFailed "policy-test-failed" "A policy test does not come out as it expects."
    PolicyTestUnclear "policy-test-unclear" "A policy test is refused for more than one cause, so it proves little."
    PolicyTestWithoutIssuer "policy-test-without-issuer" "Nothing says which issuer the token of a policy test comes from."
    InvalidExpectation "invalid-expectation" "`expect` is neither `deny` nor a grant."
}

impl std::fmt::Display for CheckCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_short_kebab_case_and_unique() {
        for (at, code) in CheckCode::ALL.iter().enumerate() {
            let text = code.as_str();
            assert!(text.split('-').all(|word| !word.is_empty()), "{text}");
            assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{text}");
            assert!(text.len() <= 32, "{text}");
            assert!(CheckCode::ALL.iter().skip(at + 1).all(|other| other.as_str() != text), "{text} twice");
            assert!(code.meaning().ends_with('.') && !code.meaning().contains("  "), "{text}");
        }
    }
}
