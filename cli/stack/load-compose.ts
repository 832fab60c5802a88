// From the texts of compose files to one normalised project. Files that they name are read by the caller. No I/O of its own.
import { join, normalize } from 'node:path/posix'
import { composeFile, forbiddenKeys } from './compose-schema.ts'
import { emitYaml, sortedMap } from './emit-yaml.ts'
import { envFileLines } from './env-file.ts'
import { interpolate, type Variables } from './interpolate.ts'
import { mergeFiles } from './merge.ts'
import {
  type At,
  boolNode,
  type Entry,
  entryOf,
  faultError,
  faultsError,
  type MapNode,
  mapNode,
  type Node,
  type Notice,
  textNode,
} from './node.ts'
import { minorOf, Normaliser } from './normalise.ts'
import { newestMinor } from './shape.ts'
import { parseYaml } from './yaml-tree.ts'

/** A compose file and the name it is called by in errors. */
export interface ComposeText {
  readonly name: string
  readonly text: string
}

export interface LoadOptions {
  readonly variables: Variables
  /** Absolute; where relative paths begin: the folder of the first file. */
  readonly workingDir: string
  /** Off: variables stay as they are written. */
  readonly interpolates: boolean
  /** Text of an env_file. Errors: Error. */
  readonly readText: (path: string) => string
}

/** A compose project: what its files say together. */
export interface Project {
  /** In the order of its keys as they are written out. */
  readonly root: MapNode
  /** What has no effect or is worth knowing, in the order of the files. */
  readonly notices: readonly Notice[]
  /** Variables without a value that stand somewhere. */
  readonly unset: ReadonlyMap<string, At>
}

/** Errors: INVALID_ARGUMENT with all faults, each with file, line and column. */
export function loadCompose(files: readonly ComposeText[], options: LoadOptions): Project {
  const loaded: MapNode[] = []
  const notices: Notice[] = []
  const unset = new Map<string, At>()
  let version: string | undefined
  for (const { name, text } of files) {
    const tree = parseYaml(name, text)
    const own = versionOf(tree)
    if (version !== undefined && own !== version) {
      throw faultError(
        entryOf(tree, 'version')?.at ?? tree.at,
        'version',
        `is ${own}, and that of the file before ${version}: give all files one version`,
      )
    }
    version = own
    refuseForbidden(tree)
    const found = loadFile(tree, own, options)
    loaded.push(found.root)
    notices.push(...found.notices)
    for (const [variable, at] of found.unset) if (!unset.has(variable)) unset.set(variable, at)
  }
  return { root: withoutEmpty(ordered(mergeFiles(loaded, composeFile))), notices, unset }
}

/** The project as `stack config` prints it. */
export function projectText(project: Project): string {
  const services = entryOf(project.root, 'services')
  if (services?.kind !== 'map') return emitYaml(project.root)
  // Swarm's client reads it and forgets it. What it prints is compared; a deployment keeps what was written.
  const shown = [...services.entries].map(([name, { value }]): [string, Node] => [
    name,
    value.kind === 'map' ? changed(value, { oom_score_adj: undefined }) : value,
  ])
  return emitYaml(changed(project.root, { services: mapNode(shown, services.at) }))
}

function versionOf(tree: MapNode): string {
  const node = entryOf(tree, 'version')
  if (node === undefined || node.kind === 'null') return `3.${newestMinor}`
  if (node.kind === 'number')
    throw faultError(node.at, 'version', 'must be a string: put it in quotes')
  if (node.kind !== 'text') throw faultError(node.at, 'version', 'must be a string')
  const minor = minorOf(node.value)
  if (minor !== undefined) return `3.${minor}`
  throw faultError(
    node.at,
    'version',
    `"${node.value}" is not supported: 3.0 to 3.${newestMinor} are, or none`,
  )
}

function refuseForbidden(tree: MapNode): void {
  const services = entryOf(tree, 'services')
  if (services?.kind !== 'map') return
  const faults = [...services.entries].flatMap(([name, { value }]) => {
    if (value.kind !== 'map') return []
    return [...value.entries].flatMap(([key, { at }]): Notice[] => {
      const why = Object.hasOwn(forbiddenKeys, key) ? forbiddenKeys[key] : undefined
      return why === undefined ? [] : [{ at, path: `services.${name}.${key}`, text: why }]
    })
  })
  if (faults.length > 0) throw faultsError(faults)
}

function loadFile(
  tree: MapNode,
  version: string,
  options: LoadOptions,
): {
  readonly root: MapNode
  readonly notices: readonly Notice[]
  readonly unset: ReadonlyMap<string, At>
} {
  const interpolated = options.interpolates
    ? interpolate(tree, options.variables)
    : { node: tree, faults: [], unset: new Map<string, At>() }
  if (interpolated.faults.length > 0) throw faultsError(interpolated.faults)
  const normaliser = new Normaliser(minorOf(version) ?? newestMinor)
  const node = normaliser.node(interpolated.node, composeFile, '')
  if (normaliser.faults.length > 0) throw faultsError(normaliser.faults)
  const root = node?.kind === 'map' ? node : mapNode({}, tree.at)
  const resolver = new Resolver(options)
  const resolved = resolver.file(root)
  if (resolver.faults.length > 0) throw faultsError(resolver.faults)
  return {
    root: withVersion(resolved, version),
    notices: [...normaliser.ignored, ...resolver.notices],
    unset: interpolated.unset,
  }
}

function withVersion(root: MapNode, version: string): MapNode {
  const pairs = [...root.entries].filter(([key]) => key !== 'version')
  const at = entryOf(root, 'version')?.at ?? root.at
  return mapNode(
    [['version', textNode(version, at)], ...pairs.map(([key, { value }]) => [key, value] as const)],
    root.at,
  )
}

/** Without the empty parts of services that only merging had to know of. */
function withoutEmpty(root: MapNode): MapNode {
  const services = entryOf(root, 'services')
  if (services?.kind !== 'map') return root
  const pairs = [...services.entries].map(([name, { value }]): [string, Node] => {
    if (value.kind !== 'map') return [name, value]
    const logging = entryOf(value, 'logging')
    const whole = logging?.kind === 'map' ? changed(value, { logging: dropEmpty(logging) }) : value
    return [name, dropEmpty(whole)]
  })
  return changed(root, { services: mapNode(pairs, services.at) })
}

function dropEmpty(node: MapNode): MapNode {
  const isEmpty = (key: string, value: Node): boolean =>
    value.kind === 'list' ? value.items.length === 0 : key === 'options' && isEmptyMap(value)
  const kept = [...node.entries].filter(
    ([key, { value }]) => key.startsWith('x-') || !isEmpty(key, value),
  )
  return { ...node, entries: new Map(kept) }
}

function isEmptyMap(node: Node): boolean {
  return node.kind === 'map' && node.entries.size === 0
}

/** Sections in their order, services always, others when they hold something, `x-` keys behind. */
function ordered(root: MapNode): MapNode {
  const section = (key: string): Node | undefined => {
    const node = entryOf(root, key)
    return node?.kind === 'map' && node.entries.size > 0 ? sortedMap(node) : undefined
  }
  const extras = [...root.entries].filter(([key]) => key.startsWith('x-'))
  const head = mapNode(
    {
      version: entryOf(root, 'version'),
      services: section('services') ?? mapNode({}, root.at),
      networks: section('networks'),
      volumes: section('volumes'),
      secrets: section('secrets'),
      configs: section('configs'),
    },
    root.at,
  )
  return { ...head, entries: new Map([...head.entries, ...extras]) }
}

/** What depends on the outside world: env_file, paths, names of external objects. */
class Resolver {
  readonly faults: Notice[] = []
  readonly notices: Notice[] = []
  readonly #options: LoadOptions

  constructor(options: LoadOptions) {
    this.#options = options
  }

  file(root: MapNode): MapNode {
    return changed(root, {
      services: this.#each(root, 'services', (node, path) => this.#service(node, path)),
      networks: this.#each(root, 'networks', (node, path, name) =>
        this.#object(node, path, { name, keepsExtras: false }),
      ),
      volumes: this.#each(root, 'volumes', (node, path, name) =>
        this.#object(this.#checkVolume(node, path), path, { name, keepsExtras: false }),
      ),
      secrets: this.#each(root, 'secrets', (node, path, name) =>
        this.#fileObject(node, path, name),
      ),
      configs: this.#each(root, 'configs', (node, path, name) =>
        this.#fileObject(node, path, name),
      ),
    })
  }

  #each(
    root: MapNode,
    section: string,
    resolve: (node: MapNode, path: string, name: string) => MapNode,
  ): Node | undefined {
    const node = entryOf(root, section)
    if (node?.kind !== 'map') return node
    const pairs = [...node.entries].map(([name, { value }]): [string, Node] => {
      if (value.kind !== 'map') return [name, value]
      return [name, inOrder(resolve(value, `${section}.${name}`, name), section)]
    })
    return mapNode(pairs, node.at)
  }

  #service(service: MapNode, path: string): MapNode {
    const volumes = entryOf(service, 'volumes')
    return changed(service, {
      environment: this.#environment(service, path),
      volumes:
        volumes?.kind === 'list'
          ? {
              ...volumes,
              items: volumes.items.map((item, i) => this.#mount(item, `${path}.volumes.${i}`)),
            }
          : volumes,
    })
  }

  /** Files first, in their order, then the service's own; a variable without value takes the caller's. */
  #environment(service: MapNode, path: string): Node | undefined {
    const own = entryOf(service, 'environment')
    const files = entryOf(service, 'env_file')
    const found = new Map<string, Node>()
    const set = (key: string, value: Node): void => {
      const given = this.#options.variables.get(key)
      const isEmpty = value.kind === 'null' || (value.kind === 'text' && value.value === '')
      found.set(key, isEmpty && given !== undefined ? textNode(given, value.at) : value)
    }
    for (const [i, file] of (files?.kind === 'list' ? files.items : []).entries()) {
      if (file.kind !== 'text') continue
      for (const [key, value] of this.#envFile(file.value, file.at, `${path}.env_file.${i}`)) {
        set(key, value)
      }
    }
    if (own?.kind === 'map') for (const [key, { value }] of own.entries) set(key, value)
    if (found.size === 0) return undefined
    return sortedMap(mapNode([...found], own?.at ?? files?.at ?? service.at))
  }

  #envFile(file: string, at: At, path: string): ReadonlyMap<string, Node> {
    const found = new Map<string, Node>()
    const place = this.#absolute(file)
    try {
      for (const { key, value } of envFileLines(
        this.#options.readText(place),
        this.#options.variables,
      )) {
        found.set(key, textNode(value, at))
      }
    } catch (err) {
      this.faults.push({
        at,
        path,
        text: `${file}: ${err instanceof Error ? err.message : String(err)}`,
      })
    }
    return found
  }

  #mount(item: Node, path: string): Node {
    if (item.kind !== 'map' || textOf(entryOf(item, 'type')) !== 'bind') return item
    const source = entryOf(item, 'source')
    if (source?.kind !== 'text') {
      this.faults.push({ at: item.at, path, text: 'a bind mount needs a source' })
      return item
    }
    return changed(item, {
      source: textNode(this.#bindSource(source.value, source.at, path), source.at),
    })
  }

  #bindSource(source: string, at: At, path: string): string {
    const home = this.#options.variables.get('HOME')
    if (source.startsWith('~') && home === undefined) {
      this.notices.push({ at, path, text: '"~" stays as it is: HOME is not set' })
    }
    const expanded =
      source.startsWith('~') && home !== undefined ? `${home}${source.slice(1)}` : source
    return isAnyAbsolute(expanded) ? expanded : this.#absolute(expanded)
  }

  #absolute(path: string): string {
    return path.startsWith('/') ? path : trimmed(join(this.#options.workingDir, path))
  }

  #checkVolume(node: MapNode, path: string): MapNode {
    if (entryOf(node, 'external') === undefined) return node
    for (const key of ['driver', 'driver_opts', 'labels']) {
      const at = node.entries.get(key)?.at
      if (at !== undefined)
        this.faults.push({ at, path: `${path}.${key}`, text: 'does not go with "external"' })
    }
    return node
  }

  #fileObject(node: MapNode, path: string, name: string): MapNode {
    const external = entryOf(node, 'external')
    if (external !== undefined) return this.#object(node, path, { name, keepsExtras: true })
    const file = entryOf(node, 'file')
    if (entryOf(node, 'driver') !== undefined) {
      if (file !== undefined)
        this.faults.push({ at: file.at, path: `${path}.file`, text: 'does not go with "driver"' })
      return node
    }
    return changed(node, { file: textNode(this.#absolute(textOf(file)), file?.at ?? node.at) })
  }

  /** An external object has a name and says so; `x-` keys of others are not written out by Swarm's client. */
  #object(
    node: MapNode,
    path: string,
    { name, keepsExtras }: { readonly name: string; readonly keepsExtras: boolean },
  ): MapNode {
    const external = entryOf(node, 'external')
    if (external === undefined) {
      const pairs = [...node.entries].filter(([key]) => keepsExtras || !key.startsWith('x-'))
      return { ...node, entries: new Map(pairs) }
    }
    const old = external.kind === 'map' ? entryOf(external, 'name') : undefined
    const own = entryOf(node, 'name')
    if (old !== undefined && own !== undefined) {
      this.faults.push({
        at: own.at,
        path: `${path}.name`,
        text: 'is said twice: drop "external.name"',
      })
    }
    if (old !== undefined) {
      this.notices.push({
        at: old.at,
        path: `${path}.external.name`,
        text: 'is an old form: use "name" and "external: true"',
      })
    }
    return changed(node, {
      name: old ?? own ?? textNode(name, node.at),
      external: boolNode(true, external.at),
    })
  }
}

/** The keys of an object of a section in the order in which they are written out. */
function inOrder(node: MapNode, section: string): MapNode {
  const shape = composeFile.fields[section]?.shape
  if (shape?.kind !== 'objects') return node
  const fields = Object.keys(shape.of.fields)
  const known = fields.flatMap((key) => (node.entries.has(key) ? [key] : []))
  const others = [...node.entries.keys()].filter((key) => !fields.includes(key))
  const entries = [...known, ...others].flatMap((key): readonly (readonly [string, Entry])[] => {
    const entry = node.entries.get(key)
    return entry === undefined ? [] : [[key, entry]]
  })
  return { ...node, entries: new Map(entries) }
}

/** The map with some values replaced, new ones at its end. */
function changed(node: MapNode, values: Readonly<Record<string, Node | undefined>>): MapNode {
  const entries = new Map(node.entries)
  for (const [key, value] of Object.entries(values)) {
    if (value === undefined) entries.delete(key)
    else entries.set(key, { at: entries.get(key)?.at ?? value.at, value })
  }
  return { ...node, entries }
}

function textOf(node: Node | undefined): string {
  return node?.kind === 'text' ? node.value : ''
}

/** Of Linux or, for a client elsewhere, of Windows. */
function isAnyAbsolute(path: string): boolean {
  return path.startsWith('/') || /^[a-zA-Z]:[\\/]|^\\\\[^\\]+\\[^\\]+/.test(path)
}

function trimmed(path: string): string {
  const clean = normalize(path)
  return clean.length > 1 ? clean.replace(/\/$/, '') : clean
}
