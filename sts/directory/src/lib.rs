//! Group membership of service accounts, from Active Directory or another LDAP directory.
