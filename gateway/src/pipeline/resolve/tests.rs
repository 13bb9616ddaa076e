//! Who may do what with which credential.
