// Small schemas shared by the specs: names, labels, bounded texts.
import { z } from 'zod'

/** A DNS label of at most 63 characters, as Swarm asks of service names (dots and underscores are allowed too). */
export const serviceName = z
  .string()
  .regex(
    /^[a-zA-Z0-9](?:[-_.a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$/,
    'must be 1 to 63 letters, digits, "-", "_" or ".", and begin and end with a letter or digit',
  )

export const labels = z
  .record(z.string().min(1).max(256), z.string().max(4096))
  .refine((map) => Object.keys(map).length <= 256, 'at most 256 labels')
  .default({})

/** A text of at most 4 kB without NUL. */
export const text = z
  .string()
  .max(4096)
  .regex(/^[^\0]*$/, 'must not hold a NUL character')

/** An argument of a program: a script can stand there, and the kernel takes 128 KiB of one. */
export const argument = z
  .string()
  .max(131_071)
  .regex(/^[^\0]*$/, 'must not hold a NUL character')

/** Milliseconds, up to about 31 years. */
export const durationMs = z.number().int().min(0).max(1e12)
