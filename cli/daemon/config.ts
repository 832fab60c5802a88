// The daemon's settings: flags > TSSWARM_* variables > file > defaults, parsed once and frozen. What the whole cluster
// must agree on is not here but in the Cluster object.
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { parse } from 'yaml'
import { z } from 'zod'
import { SwarmError } from '../../proto/errors.ts'
import { offeredGeneric } from './offered-resources.ts'

/** Blanks, commas and colons separate what mount options and commands of `ip` name. */
const path = z
  .string()
  .regex(/^\/[\w./-]*$/, 'must be an absolute path of letters, digits, ".", "_" and "-"')
function areReadable(texts: readonly string[], ctx: z.RefinementCtx): void {
  try {
    offeredGeneric(texts)
  } catch (err) {
    ctx.addIssue(err instanceof Error ? err.message : String(err))
  }
}

const labelMap = z.record(z.string(), z.string())

const schema = z
  .strictObject({
    /** What must survive a reboot: identity, Raft log, images, volumes, task database. */
    stateDir: path.default('/var/lib/tsswarm'),
    /** What must not: sockets, bundles, pid files. On tmpfs. */
    runDir: path.default('/run/tsswarm'),
    /** The local control socket. */
    socket: path.optional(),
    /** Group that may use the socket. */
    group: z.string().default('tsswarm'),
    logLevel: z
      .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
      .default('info'),
    hostname: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/, 'must be letters, digits, "-", "_" or "."')
      .default(hostname()),
    /** Labels that constraints see as engine.labels.X. */
    labels: labelMap.default({}),
    /** What this node has besides CPUs and memory, as KIND=NUMBER or KIND=NAME. */
    nodeGenericResources: z.array(z.string()).superRefine(areReadable).default([]),
    /** Registries reached over plain HTTP, as host:port. */
    insecureRegistries: z.array(z.string()).default([]),
    /** cgroup under which the containers' cgroups are made. */
    cgroupParent: path.default('/tsswarm'),
    /** Subnet of the network that is local to this host; one that is free when left out. */
    localSubnet: z.string().optional(),
    /** Schedulable resources when they are to differ from what the host has. */
    nanoCpus: z.coerce.number().int().positive().optional(),
    memoryBytes: z.coerce.number().int().positive().optional(),
  })
  .readonly()

export type DaemonConfig = z.infer<typeof schema> & { readonly socket: string }

/** Flags as parsed, by setting name; undefined ones are not given. */
export type DaemonFlags = Readonly<Record<string, string | readonly string[] | undefined>>

/** The settings in force. Errors: INVALID_ARGUMENT naming source, setting, reason. */
export function loadDaemonConfig(
  flags: DaemonFlags,
  env: Readonly<Record<string, string | undefined>>,
  file?: string,
): DaemonConfig {
  const merged = { ...(file === undefined ? {} : fromFile(file)), ...fromEnv(env), ...given(flags) }
  const parsed = schema.safeParse(merged)
  if (!parsed.success) throw invalidSetting(parsed.error, merged, file)
  const socket = parsed.data.socket ?? `${parsed.data.runDir}/tsswarm.sock`
  return Object.freeze({ ...parsed.data, socket })
}

/** Names the first setting that is wrong, what it was given, and what it may be. */
function invalidSetting(
  error: z.ZodError,
  given: Readonly<Record<string, unknown>>,
  file: string | undefined,
): SwarmError {
  const [issue] = error.issues
  const name = String(issue?.path[0] ?? '')
  const text =
    issue?.code === 'unrecognized_keys'
      ? `${file ?? 'the command line'} has no such setting: ${issue.keys.join(', ')}. The settings are ${settingNames.join(', ')}`
      : `setting ${name} (${JSON.stringify(given[name])}): ${issue?.message ?? 'invalid'}`
  return new SwarmError('INVALID_ARGUMENT', `daemon configuration: ${text}`, { cause: error })
}

const settingNames = Object.keys(schema.unwrap().shape)

/** TSSWARM_STATE_DIR sets stateDir, and so on; lists are separated by commas, labels are key=value. */
function fromEnv(env: Readonly<Record<string, string | undefined>>): Record<string, unknown> {
  const settings: Record<string, unknown> = {}
  for (const name of settingNames) {
    const value =
      env[`TSSWARM_${name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`]
    if (value !== undefined && value !== '') settings[name] = structured(name, value.split(','))
  }
  return settings
}

function given(flags: DaemonFlags): Record<string, unknown> {
  const settings: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(flags)) {
    if (value === undefined || (Array.isArray(value) && value.length === 0)) continue
    settings[name] = structured(name, typeof value === 'string' ? [value] : value)
  }
  return settings
}

function structured(name: string, values: readonly string[]): unknown {
  if (name === 'insecureRegistries' || name === 'nodeGenericResources') return values
  if (name !== 'labels') return values[0]
  return Object.fromEntries(
    values.map((pair) => {
      const at = pair.indexOf('=')
      return at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)]
    }),
  )
}

function fromFile(file: string): Record<string, unknown> {
  const settings = z.record(z.string(), z.unknown()).safeParse(parseFile(file) ?? {})
  if (settings.success) return settings.data
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `daemon configuration ${file}: it must hold settings as NAME: VALUE, one a line, such as "logLevel: debug"`,
  )
}

function parseFile(file: string): unknown {
  try {
    return parse(readFileSync(file, 'utf8'))
  } catch (err) {
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `daemon configuration ${file} cannot be read: ${err instanceof Error ? err.message : String(err)}`,
      { cause: err },
    )
  }
}
