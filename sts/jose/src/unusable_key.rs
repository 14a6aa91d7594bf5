//! Why a key of a set is not used.

/// Why a JWK cannot verify signatures. Never contains input: it names a member, but not its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnusableKeyError {
    /// An element of `keys` that is not an object.
    #[error("the key is not a JSON object")]
    NotAnObject,
    /// A required member is missing.
    #[error("the key has no `{0}`")]
    MissingMember(&'static str),
    /// A member has the wrong type, or is a string that no such member can have.
    #[error("`{0}` of the key has the wrong type")]
    MemberType(&'static str),
    /// A member is not base64url: it has a foreign character, or non-zero bits after the last byte.
    #[error("`{0}` of the key is not base64url")]
    Encoding(&'static str),
    /// A member does not have the length that its curve requires (RFC 7518 section 6.2.1.2).
    #[error("`{member}` of the key has {octets} octets instead of {expected}: it was cut off, or `crv` is wrong")]
    Length {
        /// The member's name.
        member: &'static str,
        /// Its length, in octets.
        octets: usize,
        /// The length of a coordinate of its curve, in octets.
        expected: usize,
    },
    /// `kty` is not RSA, EC or OKP.
    #[error("the key type is not supported")]
    UnknownKeyType,
    /// A shared secret: anyone who reads the set can forge the signatures that it verifies.
    #[error("the key is symmetric: a published secret")]
    Symmetric,
    /// The set publishes a private key.
    #[error("the key carries private members: a published private key")]
    PrivateMaterial,
    /// `use` or `key_ops` restrict the key to other purposes.
    #[error("the key is not for verifying signatures (`use` or `key_ops`)")]
    NotForSignatures,
    /// `crv` is not a supported curve.
    #[error("the curve is not supported")]
    UnknownCurve,
    /// `alg` is not a supported signature algorithm.
    #[error("`alg` of the key is not a supported signature algorithm")]
    UnknownAlgorithm,
    /// `alg` does not fit the key type or the curve.
    #[error("`alg` of the key does not fit its type or curve")]
    AlgorithmMismatch,
    /// The key's algorithm is not in the allow-list.
    #[error("the key's algorithm is not allowed here")]
    AlgorithmNotAllowed,
    /// An RSA modulus below 2,048 bits, which is weak (RFC 7518 section 3.3), or above 8,192 bits,
    /// which is slow to verify.
    #[error("the RSA modulus is not of 2,048 to 8,192 bits")]
    ModulusSize,
    /// An RSA modulus that is even, or that has the ROCA flaw (CVE-2017-15361).
    #[error("the RSA modulus is weak")]
    WeakModulus,
    /// An RSA exponent that is even, below 65,537 or above 2^32.
    #[error("the RSA exponent is not an odd number from 65,537 to 2^32")]
    Exponent,
    /// The coordinates are not a point on the curve.
    #[error("the point is not on its curve")]
    OffCurve,
    /// An Ed25519 point of small order, or not canonically encoded: anyone can make signatures that
    /// it verifies.
    #[error("the Ed25519 point is of small order or not canonical")]
    SmallOrder,
}

impl UnusableKeyError {
    /// A stable name for metrics and events.
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

    /// Whether the operator must be told: the set publishes a secret.
    #[must_use]
    pub const fn alarming(&self) -> bool {
        matches!(self, Self::Symmetric | Self::PrivateMaterial)
    }
}
