// Messages of the bus as bytes. What a change or a whole state says is up to the subject.
import { stampFromProto } from '../codec/assignment.ts'
import { BusMessage } from '../gen/tsswarm/v1/bus.ts'
import type { Heard } from './feed.ts'

/** Bytes of a subject's changes and whole states. `whole` is undefined for a subject that is no more. */
export interface SubjectCodec<C, W> {
  readonly change: (bytes: Uint8Array) => C
  readonly whole: (bytes: Uint8Array) => W
  readonly ended: W
}

type Raw = Heard<Uint8Array, Uint8Array | undefined>

/** A whole state of undefined: the subject is no more. */
export function encodeBusMessage(heard: Raw): Uint8Array {
  const { stamp, asOf } = heard
  return BusMessage.encode({ stamp, asOf, payload: payloadOf(heard) }).finish()
}

function payloadOf(heard: Raw): BusMessage['payload'] {
  switch (heard.kind) {
    case 'tip':
      return undefined
    case 'whole':
      return heard.whole === undefined
        ? { $case: 'ended', value: true }
        : { $case: 'whole', value: heard.whole }
    case 'change': {
      const { previous, first, change: data } = heard
      return { $case: 'change', value: { previous, first, data } }
    }
  }
}

/** Errors: INVALID_ARGUMENT, or those of protobuf, for bytes that are no message. */
export function decodeBusMessage<C, W>(bytes: Uint8Array, codec: SubjectCodec<C, W>): Heard<C, W> {
  const { payload, ...rest } = BusMessage.decode(bytes)
  const stamp = stampFromProto(rest.stamp, 'BusMessage', 'stamp')
  const asOf = stampFromProto(rest.asOf, 'BusMessage', 'as_of')
  switch (payload?.$case) {
    case undefined:
      return { kind: 'tip', stamp, asOf }
    case 'ended':
      return { kind: 'whole', stamp, asOf, whole: codec.ended }
    case 'whole':
      return { kind: 'whole', stamp, asOf, whole: codec.whole(payload.value) }
    case 'change': {
      const { previous, first, data } = payload.value
      return {
        kind: 'change',
        previous: stampFromProto(previous, 'BusChange', 'previous'),
        first: stampFromProto(first, 'BusChange', 'first'),
        stamp,
        asOf,
        change: codec.change(data),
      }
    }
  }
}
