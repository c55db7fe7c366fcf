//! The report stop of an event's way: an analysis becomes text or JSON; one module a format.
