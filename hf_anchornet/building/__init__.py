"""One run from labelled data to a calibrated, measured folder: plan, steps, controls, verdict."""
