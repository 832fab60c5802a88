// Checks shared by the codecs.
import { SwarmError } from '../errors.ts'

/**
 * The value, which a message of this kind must hold.
 * Errors: INVALID_ARGUMENT naming the message and the field.
 */
export function required<T>(value: T | undefined, message: string, field: string): T {
  if (value !== undefined && value !== '') return value
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `${message}: field ${field} is missing; the sender has to set it`,
    { details: { message, field } },
  )
}

/** Two-way names of a protobuf enum. */
export interface EnumCodec<N extends string, V extends number> {
  toProto(name: N): V
  /** Undefined for a number that has no name. */
  fromProto(value: number): N | undefined
}

export function enumCodec<N extends string, V extends number>(
  values: Readonly<Record<N, V>>,
): EnumCodec<N, V> {
  const names = new Map<number, N>()
  for (const [name, value] of Object.entries(values)) names.set(value as V, name as N)
  return { toProto: (name) => values[name], fromProto: (value) => names.get(value) }
}

/** Undefined travels as an empty text. */
export function optionalId<I extends string>(
  text: string,
  brand: (text: string) => I,
): I | undefined {
  return text === '' ? undefined : brand(text)
}
