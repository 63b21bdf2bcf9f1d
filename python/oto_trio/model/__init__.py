"""The data model: entities in Otoroshi's JSON, ids, errors and static settings. No I/O lives here."""
