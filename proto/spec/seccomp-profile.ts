// A seccomp profile as users write it: Docker's format, which OCI's `linux.seccomp` is nearly a part of.
import { z } from 'zod'

const actions = ['ALLOW', 'ERRNO', 'KILL', 'KILL_PROCESS', 'KILL_THREAD', 'LOG', 'TRACE', 'TRAP']
const action = z
  .string()
  .refine(
    (word) => actions.some((one) => word === `SCMP_ACT_${one}`),
    `must be one of ${actions.map((one) => `SCMP_ACT_${one}`).join(', ')}`,
  )
const comparisons = ['NE', 'LT', 'LE', 'EQ', 'GE', 'GT', 'MASKED_EQ']
const count = z.number().int().min(0)
const errnoRet = z.number().int().min(0).max(4095)
const names = z.array(z.string().min(1).max(64)).max(1024).readonly()
/** Docker writes null for none. */
const maybe = <T extends z.ZodType>(schema: T) =>
  schema.nullish().transform((it) => it ?? undefined)

const argument = z
  .object({
    index: count.max(5),
    value: count,
    valueTwo: count.default(0),
    op: z.string().refine((word) => comparisons.some((one) => word === `SCMP_CMP_${one}`), {
      message: `must be one of ${comparisons.map((one) => `SCMP_CMP_${one}`).join(', ')}`,
    }),
  })
  .readonly()

const filter = z
  .object({ arches: maybe(names), caps: maybe(names), minKernel: maybe(z.string()) })
  .readonly()

const rule = z
  .object({
    /** Of old profiles. */
    name: maybe(z.string().min(1)),
    names: maybe(names),
    action,
    args: maybe(z.array(argument).max(6).readonly()),
    errnoRet: maybe(errnoRet),
    includes: maybe(filter),
    excludes: maybe(filter),
  })
  .refine((one) => one.name !== undefined || one.names !== undefined, 'must name its calls')
  .readonly()

const profile = z
  .object({
    defaultAction: action,
    defaultErrnoRet: maybe(errnoRet),
    architectures: maybe(names),
    archMap: maybe(
      z
        .array(z.object({ architecture: z.string(), subArchitectures: maybe(names) }).readonly())
        .readonly(),
    ),
    syscalls: maybe(z.array(rule).max(2048).readonly()),
  })
  .readonly()

export type SeccompProfileText = z.infer<typeof profile>
export type SeccompRuleText = z.infer<typeof rule>

/** Errors: Error that says what is wrong with it. */
export function parseSeccompProfile(json: string): SeccompProfileText {
  const why = whySeccompProfile(json)
  if (why !== undefined) throw new Error(why)
  return profile.parse(JSON.parse(json))
}

/** Why it is no profile; undefined when it is one. */
export function whySeccompProfile(json: string): string | undefined {
  const found = parsed(json)
  if (found === undefined) return 'must be "unconfined" or a seccomp profile in JSON'
  const { error } = profile.safeParse(found.value)
  const [issue] = error?.issues ?? []
  if (issue === undefined) return undefined
  const where = issue.path.length === 0 ? 'it' : issue.path.join('.')
  return `is no seccomp profile: ${where} ${issue.message}`
}

function parsed(json: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(json) }
  } catch {
    return undefined
  }
}
