//! The configuration of sts: YAML files to typed, validated settings, with diagnostics and a JSON Schema.
