"""How written manifests become `domain.manifest` values. The door is `aml_canary.domain.manifest_reader`; nothing here is public."""
