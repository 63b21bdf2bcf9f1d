"""What the gateway says about itself: log lines now; events, exporters and traces later."""
