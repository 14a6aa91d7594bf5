//! Why a key of a set is not used.

/// Why a JWK cannot verify signatures here. Never holds input: a member is named, its value is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnusableKey {
    /// An element of `keys` that is no object.
    #[error("the key is not a JSON object")]
    NotAnObject,
    /// A member that the key needs is not there.
    #[error("the key has no `{0}`")]
    MissingMember(&'static str),
    /// A member has the wrong type, or is a text that cannot be one.
    #[error("`{0}` of the key has the wrong type")]
    MemberType(&'static str),
    /// A member is not base64url: a foreign character, or bits behind the last byte that are not zero.
    #[error("`{0}` of the key is not base64url")]
    Encoding(&'static str),
    /// A member has not the length that its curve wants (RFC 7518 section 6.2.1.2).
    #[error("`{member}` of the key has {octets} octets in place of {expected}: it was cut off, or `crv` is wrong")]
    Length {
        /// The member.
        member: &'static str,
        /// Its length.
        octets: usize,
        /// The length of a coordinate of its curve.
        expected: usize,
    },
    /// `kty` is none of RSA, EC and OKP.
    #[error("the key type is not supported")]
    UnknownKeyType,
    /// A shared secret: whoever reads the set can forge what it verifies.
    #[error("the key is symmetric: a published secret")]
    Symmetric,
    /// The set publishes a private key.
    #[error("the key carries private members: a published private key")]
    PrivateMaterial,
    /// `use` or `key_ops` say that the key is for something else.
    #[error("the key is not for verifying signatures (`use` or `key_ops`)")]
    NotForSignatures,
    /// `crv` is none of the supported curves.
    #[error("the curve is not supported")]
    UnknownCurve,
    /// `alg` names no signature algorithm that is supported.
    #[error("`alg` of the key is not a supported signature algorithm")]
    UnknownAlgorithm,
    /// `alg` does not fit the key type or the curve.
    #[error("`alg` of the key does not fit its type or curve")]
    AlgorithmMismatch,
    /// The key's algorithm is not in the allow-list.
    #[error("the key's algorithm is not allowed here")]
    AlgorithmNotAllowed,
    /// An RSA modulus under 2,048 bits, which is weak (RFC 7518 section 3.3), or over 8,192, which is
    /// slow to verify.
    #[error("the RSA modulus is not of 2,048 to 8,192 bits")]
    ModulusSize,
    /// An RSA modulus that is even, or that has the fingerprint of ROCA (CVE-2017-15361).
    #[error("the RSA modulus is weak")]
    WeakModulus,
    /// An RSA exponent that is even, under 65,537 or over 2^32.
    #[error("the RSA exponent is not an odd number from 65,537 to 2^32")]
    Exponent,
    /// The coordinates are no point of the curve.
    #[error("the point is not on its curve")]
    OffCurve,
    /// An Ed25519 point of small order or not canonically encoded: anybody can make signatures that it verifies.
    #[error("the Ed25519 point is of small order or not canonical")]
    SmallOrder,
}

impl UnusableKey {
    /// A stable word for metrics and events.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotAnObject => "not_an_object",
            Self::MissingMember(_) => "missing_member",
            Self::MemberType(_) => "member_type",
            Self::Encoding(_) | Self::Length { .. } => "encoding",
            Self::UnknownKeyType => "unknown_key_type",
            Self::Symmetric => "symmetric",
            Self::PrivateMaterial => "private_material",
            Self::NotForSignatures => "not_for_signatures",
            Self::UnknownCurve => "unknown_curve",
            Self::UnknownAlgorithm => "unknown_algorithm",
            Self::AlgorithmMismatch => "algorithm_mismatch",
            Self::AlgorithmNotAllowed => "algorithm_not_allowed",
            Self::ModulusSize => "modulus_size",
            Self::WeakModulus => "weak_modulus",
            Self::Exponent => "exponent",
            Self::OffCurve => "off_curve",
            Self::SmallOrder => "small_order",
        }
    }

    /// Whether an operator must hear of it: the set publishes a secret.
    #[must_use]
    pub const fn alarming(&self) -> bool {
        matches!(self, Self::Symmetric | Self::PrivateMaterial)
    }
}
