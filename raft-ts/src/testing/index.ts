// raft-ts/testing: the simulator, public so that users can prove their own state machines.
export {}
