//! What is kept of exchanges, and handed out.

use oto_core::record::CaptureSettings;

use crate::engine::Engine;

impl Engine {
    /// Keep other access records from now on.
    ///
    /// # Errors
    /// What is wrong with the settings; nothing is changed then.
    pub fn capture(&mut self, settings: CaptureSettings) -> Result<(), String> {
        let records = settings.records;
        self.ring.capture(settings)?;
        self.tcp_ring.set_capacity(records);
        Ok(())
    }

    /// Details of records that were lost because those that waited took too much memory.
    #[must_use]
    pub fn details_dropped(&self) -> u64 {
        self.ring.details_dropped()
    }

    /// Append up to `most` access records as msgpack.
    pub fn drain_records(&mut self, most: usize, out: &mut Vec<u8>) {
        self.ring.drain(most, out);
    }

    /// Append the exchanges that raised alerts while records have no details, as msgpack.
    pub fn drain_alerts(&mut self, out: &mut Vec<u8>) {
        self.ring.drain_alerts(out);
    }

    /// Exchanges lost that raised alerts.
    #[must_use]
    pub fn alerts_dropped(&self) -> u64 {
        self.ring.alerts_dropped()
    }
}
