// raft-ts: the public entry. Re-exports the core, the durable log and the driver; nothing else is public.
export {}
