// What a user writes of how to tell whether a container serves. What is left out is as the image says, and then Docker's
// default. Not for what follows from both (worker/health/health-policy.ts).
import { z } from 'zod'
import { argument, durationMs, text } from './text.ts'

const port = z.number().int().min(1).max(65535)
/** The largest that a Docker API takes as an int of every client. */
const retriesMax = 2 ** 31 - 1

/** Healthy: an answer of status 200 to 399. */
export const httpProbe = z
  .object({
    port,
    path: text.regex(/^\/[^\s]*$/, 'must begin with "/" and hold no space').default('/'),
  })
  .readonly()

/** Healthy: a connection. */
export const tcpProbe = z.object({ port }).readonly()

export const healthcheckSpec = z
  .object({
    /**
     * Empty: the image's. `NONE`: no check. `CMD` and a command, `CMD-SHELL` and a line for the image's shell. Source: Docker's API.
     */
    test: z
      .array(argument)
      .max(1024)
      .readonly()
      .default([])
      .refine(
        (test) => isTest(test),
        'must be ["NONE"], "CMD" and a command, or "CMD-SHELL" and a line',
      ),
    /** 0: the image's, else 30 s. */
    intervalMs: durationMs.default(0),
    /** 0: the image's, else 30 s. */
    timeoutMs: durationMs.default(0),
    /** 0: the image's, else 3. */
    retries: z.number().int().min(0).max(retriesMax).default(0),
    /** 0: the image's, else none. */
    startPeriodMs: durationMs.default(0),
    /** 0: the image's, else 5 s. */
    startIntervalMs: durationMs.default(0),
    /** Instead of a test: the node itself asks. */
    http: httpProbe.optional(),
    tcp: tcpProbe.optional(),
  })
  .readonly()
  .refine(
    ({ test, http, tcp }) => [test.length > 0, http, tcp].filter(Boolean).length <= 1,
    'must have one of test, http and tcp only',
  )
  .refine(
    ({ test, ...rest }) => test[0] !== 'NONE' || Object.values(rest).every((one) => !one),
    'must have nothing beside test "NONE"',
  )

function isTest([kind, ...words]: readonly string[]): boolean {
  switch (kind) {
    case undefined:
      return true
    case 'NONE':
      return words.length === 0
    case 'CMD':
      return words.length > 0 && words[0] !== ''
    case 'CMD-SHELL':
      return words.length === 1 && words[0] !== ''
    default:
      return false
  }
}

export type HealthcheckSpec = z.infer<typeof healthcheckSpec>
