// What a user writes of a secret or a config: data that the cluster puts into containers as files.
// Source: Docker Swarm's limits of names and sizes.
import { z } from 'zod'
import { labels, text } from './text.ts'

export type PayloadKind = 'secret' | 'config'

/** Of one secret or config; less than that, as Swarm has it. */
export const payloadBytesMax: Readonly<Record<PayloadKind, number>> = {
  secret: 500 * 1024,
  config: 1000 * 1024,
}

/** Names differ by more than case. */
export const payloadName = z
  .string()
  .regex(
    /^[a-zA-Z0-9](?:[a-zA-Z0-9-_.]{0,62}[a-zA-Z0-9])?$/,
    'must be 1 to 64 letters, digits, "-", "_" or ".", and begin and end with a letter or digit',
  )

function payloadSpec(kind: PayloadKind) {
  const bytesMax = payloadBytesMax[kind]
  return z
    .object({
      name: payloadName,
      labels,
      data: z
        .custom<Uint8Array>((data) => data instanceof Uint8Array, 'must be bytes')
        .refine((data) => data.length > 0, 'must not be empty')
        .refine((data) => data.length < bytesMax, `must be less than ${bytesMax / 1024} KiB`),
      /** golang: a template that each task expands for itself; empty: it is not one. */
      templateDriver: z.enum(['', 'golang']).default(''),
    })
    .readonly()
}

export const payloadSpecs = { secret: payloadSpec('secret'), config: payloadSpec('config') }

export type PayloadSpec = z.infer<typeof payloadSpecs.secret>

const idText = z.string().regex(/^\d{1,10}$/, 'must be a number: names are not looked up')

/** A secret or config that the tasks of a service have as a file. */
export const payloadUse = z
  .object({
    /** Name or id; the managers keep the id. */
    source: text.min(1, 'must name a secret or config'),
    /** What it is called; the managers fill it in. */
    name: text.default(''),
    /** Path in the container; a relative one is below /run/secrets, or / for a config. Empty: the name. */
    target: text.default(''),
    uid: idText.default('0'),
    gid: idText.default('0'),
    mode: z.number().int().min(0).max(0o7777).default(0o444),
  })
  .readonly()

export type PayloadUse = z.infer<typeof payloadUse>

/** Where the file is in the container: an absolute path. */
export function payloadTarget(kind: PayloadKind, { target, name, source }: PayloadUse): string {
  const path = target || name || source
  if (path.startsWith('/')) return path
  return kind === 'secret' ? `/run/secrets/${path}` : `/${path}`
}
