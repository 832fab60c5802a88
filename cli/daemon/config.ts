// The daemon's settings: flags > TSSWARM_* variables > file > defaults, parsed once and frozen. What the whole cluster
// must agree on is not here but in the Cluster object.
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { parse } from 'yaml'
import { z } from 'zod'
import { SwarmError } from '../../proto/errors.ts'
import { suggestion } from '../../proto/lib/suggest.ts'
import { runtimeNames } from '../../proto/spec/runtime-names.ts'
import { parseUsernsRemap } from '../../worker/executor/container/id-mapping.ts'
import { gcLimits } from '../../worker/image/eviction.ts'
import { parseMirror } from '../../worker/image/registries-conf.ts'
import { requireUsableSubnet } from '../../worker/network/choose-subnet.ts'
import { offeredGeneric } from './offered-resources.ts'
import { settingFault } from './setting-fault.ts'

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

function areMirrors(texts: readonly string[], ctx: z.RefinementCtx): void {
  try {
    for (const text of texts) parseMirror(text)
  } catch (err) {
    ctx.addIssue(err instanceof Error ? err.message : String(err))
  }
}

function areLimits(
  limits: { readonly imageGcHigh: string; readonly imageGcLow: string },
  ctx: z.RefinementCtx,
): void {
  try {
    gcLimits(limits.imageGcHigh, limits.imageGcLow, 0)
  } catch (err) {
    const message = err instanceof Error ? err.message : String(err)
    ctx.addIssue({ code: 'custom', path: ['imageGcHigh'], message })
  }
}

function isRemap(text: string, ctx: z.RefinementCtx): void {
  try {
    parseUsernsRemap(text)
  } catch (err) {
    ctx.addIssue(err instanceof Error ? err.message : String(err))
  }
}

function isSubnet(text: string, ctx: z.RefinementCtx): void {
  try {
    requireUsableSubnet(text)
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
    /** Asked before a registry itself, as [REGISTRY=]URL; with them the host's own registries.conf does not count. */
    registryMirrors: z.array(z.string()).superRefine(areMirrors).default([]),
    /** Above this share of the disk (85%), or size of all layers (20GB), images that nothing uses are removed; off: never. */
    imageGcHigh: z.string().default('85%'),
    /** Until it is no more than this. */
    imageGcLow: z.string().default('80%'),
    /** So many images stay of each service with a container here: those that it used last. */
    imageGcRevisions: z.coerce.number().int().min(0).max(100).default(2),
    /** Of containers whose service asks for none. */
    defaultRuntime: z.enum(runtimeNames).default('crun'),
    /** Users of containers on this host: off (the host's own), auto, or a range as UID:GID:SIZE. */
    usernsRemap: z.string().superRefine(isRemap).default('off'),
    /** cgroup under which the containers' cgroups are made. */
    cgroupParent: path.default('/tsswarm'),
    /** Subnet of the network that is local to this host; one that is free when left out. */
    localSubnet: z.string().superRefine(isSubnet).optional(),
    /** Schedulable resources when they are to differ from what the host has. */
    nanoCpus: z.coerce.number().int().positive().optional(),
    memoryBytes: z.coerce.number().int().positive().optional(),
  })
  .superRefine(areLimits)
  .readonly()

export type DaemonConfig = z.infer<typeof schema> & { readonly socket: string }

/** Flags as parsed, by setting name; undefined ones are not given. */
export type DaemonFlags = Readonly<Record<string, string | readonly string[] | undefined>>

export interface DaemonSettings {
  readonly config: DaemonConfig
  /** Where each setting is from, by its name: `default`, `flag --label`, `TSSWARM_LABELS`, or the file. */
  readonly sources: Readonly<Record<string, string>>
}

/** The settings in force. Errors: INVALID_ARGUMENT naming source, setting, reason. */
export function loadDaemonConfig(
  flags: DaemonFlags,
  env: Readonly<Record<string, string | undefined>>,
  file?: string,
): DaemonConfig {
  return loadDaemonSettings(flags, env, file).config
}

/** The same, and where each is from. A list or map of one source replaces that of another whole. */
export function loadDaemonSettings(
  flags: DaemonFlags,
  env: Readonly<Record<string, string | undefined>>,
  file?: string,
): DaemonSettings {
  const layers: readonly Layer[] = [
    { settings: file === undefined ? {} : fromFile(file), sourceOf: () => file ?? '' },
    { settings: fromEnv(env), sourceOf: variableOf },
    { settings: given(flags), sourceOf: (name) => `flag --${flagOf(name)}` },
  ]
  const merged: Record<string, unknown> = {}
  const sources: Record<string, string> = Object.fromEntries(
    settingNames.map((name) => [name, 'default']),
  )
  for (const { settings, sourceOf } of layers) {
    for (const [name, value] of Object.entries(settings)) {
      merged[name] = value
      sources[name] = sourceOf(name)
    }
  }
  const parsed = schema.safeParse(merged)
  if (!parsed.success) throw invalidSetting(parsed.error, merged, sources)
  const socket = parsed.data.socket ?? `${parsed.data.runDir}/tsswarm.sock`
  return { config: Object.freeze({ ...parsed.data, socket }), sources }
}

interface Layer {
  readonly settings: Readonly<Record<string, unknown>>
  readonly sourceOf: (name: string) => string
}

/** Names the first setting that is wrong, where it is from, what it was given, and what it may be. */
function invalidSetting(
  error: z.ZodError,
  given: Readonly<Record<string, unknown>>,
  sources: Readonly<Record<string, string>>,
): SwarmError {
  const [issue] = error.issues
  return new SwarmError(
    'INVALID_ARGUMENT',
    `daemon configuration: ${issue?.code === 'unrecognized_keys' ? unknownText(issue.keys, sources) : wrongText(issue, given, sources)}`,
    { cause: error },
  )
}

function unknownText(keys: readonly string[], sources: Readonly<Record<string, string>>): string {
  const [first = ''] = keys
  const near = suggestion(first, settingNames)
  const hint = near === undefined ? '' : ` (did you mean ${near}?)`
  return `${sources[first]} has no such setting: ${keys.join(', ')}${hint}. The settings are ${settingNames.join(', ')}`
}

function wrongText(
  issue: z.core.$ZodIssue | undefined,
  given: Readonly<Record<string, unknown>>,
  sources: Readonly<Record<string, string>>,
): string {
  const name = String(issue?.path[0] ?? '')
  return `${sources[name]}: setting ${settingFault(issue, given)}`
}

/** Every setting there is, as a file names it. */
export const settingNames: readonly string[] = Object.keys(schema.unwrap().shape)

/** `TSSWARM_STATE_DIR` of stateDir. */
function variableOf(name: string): string {
  return `TSSWARM_${name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`
}

/** Those whose flag may be given several times, by that flag. */
const repeated: Readonly<Record<string, string>> = {
  labels: 'label',
  nodeGenericResources: 'node-generic-resource',
  insecureRegistries: 'insecure-registry',
  registryMirrors: 'registry-mirror',
}

/** `state-dir` of stateDir. */
export function flagOf(name: string): string {
  return repeated[name] ?? name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

/** TSSWARM_STATE_DIR sets stateDir, and so on; lists are separated by commas, labels are key=value. */
function fromEnv(env: Readonly<Record<string, string | undefined>>): Record<string, unknown> {
  const settings: Record<string, unknown> = {}
  for (const name of settingNames) {
    const value = env[variableOf(name)]
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
  if (!Object.hasOwn(repeated, name)) return values[0]
  if (name !== 'labels') return values
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
