/**
 * raft-ts/node: members that are ready to run on Node.js, with clock, randomness, key file and network.
 *
 * @module raft-ts/node
 */
export { LocalNetwork } from './local-network.ts'
export type {
  MemberOptions,
  MemberProposeOutcome,
  MemberReadOutcome,
} from './member-options.ts'
export { decodePeerMessage, encodePeerMessage } from './peer-codec.ts'
export type { PeerLink, PeerNetwork, PeerReceiver } from './peer-network.ts'
export {
  type MemberStateMachine,
  type PlainStateMachine,
  plainStateMachine,
} from './plain-machine.ts'
export { RaftMember, startMember } from './raft-member.ts'
export { systemClock, systemRandomness } from './system.ts'
export { TcpNetwork } from './tcp-network.ts'
export type { TcpAddress, TcpNetworkOptions, TlsIdentity, TlsSecurity } from './tcp-options.ts'
export { MalformedMessageError } from './wire-bytes.ts'
