// The daemon's settings: flags > TSSWARM_* variables > file > defaults, parsed once and frozen. What the whole cluster
// must agree on is not here but in the Cluster object.
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { parse } from 'yaml'
import { z } from 'zod'
import { SwarmError } from '../../proto/errors.ts'

const path = z.string().regex(/^\//, 'must be an absolute path')
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
    hostname: z.string().min(1).max(253).default(hostname()),
    /** Labels that constraints see as engine.labels.X. */
    labels: labelMap.default({}),
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
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `daemon setting ${issue?.path.join('.') || 'file'}: ${issue?.message ?? 'invalid'}`,
      { cause: parsed.error },
    )
  }
  const socket = parsed.data.socket ?? `${parsed.data.runDir}/tsswarm.sock`
  return Object.freeze({ ...parsed.data, socket })
}

/** TSSWARM_STATE_DIR sets stateDir, and so on; lists are separated by commas, labels are key=value. */
function fromEnv(env: Readonly<Record<string, string | undefined>>): Record<string, unknown> {
  const settings: Record<string, unknown> = {}
  for (const name of Object.keys(schema.unwrap().shape)) {
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
  if (name === 'insecureRegistries') return values
  if (name !== 'labels') return values[0]
  return Object.fromEntries(
    values.map((pair) => {
      const at = pair.indexOf('=')
      return at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)]
    }),
  )
}

function fromFile(file: string): Record<string, unknown> {
  try {
    return (parse(readFileSync(file, 'utf8')) ?? {}) as Record<string, unknown>
  } catch (err) {
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `daemon configuration ${file} cannot be read: ${err instanceof Error ? err.message : String(err)}`,
      { cause: err },
    )
  }
}
