// From a message to what is to be done with it: answered, forwarded or dropped. Pure but for the random order of addresses.
import type { Random } from '../../../proto/lib/random.ts'
import { dnsTtlSeconds } from '../../../proto/objects/overlay.ts'
import { lookUp } from './lookup.ts'
import { parseQuery, type Query, responseCodes } from './query.ts'
import { bytesMaxOf, encodeEmpty, encodeFault, encodeResponse } from './response.ts'
import type { Zone } from './zone.ts'

export type Decision =
  | { readonly kind: 'reply'; readonly bytes: Buffer }
  | { readonly kind: 'forward'; readonly query: Query }
  | { readonly kind: 'drop' }

export interface Asker {
  readonly address: string
  readonly isTcp: boolean
}

/** Names may appear any moment. */
const negativeTtlSeconds = 1
const classes = { internet: 1, any: 255 }

export interface Names {
  readonly zone: Zone
  /** The version of the zone, for SOA records. */
  readonly serial: number
}

export function decide(names: Names, message: Buffer, asker: Asker, random: Random): Decision {
  const parsed = parseQuery(message)
  if (parsed.kind === 'drop') return parsed
  if (parsed.kind === 'fault') return { kind: 'reply', bytes: encodeFault(message, parsed.code) }
  const { query } = parsed
  const refusal = refusalOf(query)
  if (refusal !== undefined) return { kind: 'reply', bytes: encodeEmpty(message, query, refusal) }
  const answer = lookUp(names.zone, query.question, asker.address, random)
  if (answer.kind === 'elsewhere') return { kind: 'forward', query }
  const isEmpty = answer.kind !== 'records'
  const response = {
    code: answer.kind === 'no-such-name' ? responseCodes.noSuchName : responseCodes.ok,
    answers: isEmpty ? [] : answer.answers,
    additional: isEmpty ? [] : answer.additional,
    ttlSeconds: dnsTtlSeconds,
    ...(isEmpty ? { negativeTtlSeconds, serial: names.serial } : {}),
  }
  const bytes = encodeResponse(message, query, response, bytesMaxOf(query, asker.isTcp))
  return { kind: 'reply', bytes }
}

function refusalOf({ edns, question }: Query): number | undefined {
  if (edns !== undefined && edns.version > 0) return responseCodes.badVersion
  if (question.class !== classes.internet && question.class !== classes.any) {
    return responseCodes.refused
  }
  // Transfers are not for containers, and not for UDP.
  return question.type === 251 || question.type === 252 ? responseCodes.refused : undefined
}
