"""Events in Otoroshi's JSON: what they hold, made from records and from what the control plane does."""
