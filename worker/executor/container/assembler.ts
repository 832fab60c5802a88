// Puts together what a container is created from: image layers, user, mounts, the bundle's files. Starts nothing.
import { mkdirSync, writeFileSync } from 'node:fs'
import { chown, lchown, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { SwarmError } from '../../../proto/errors.ts'
import { newId } from '../../../proto/lib/ids.ts'
import type { Random } from '../../../proto/lib/random.ts'
import type { RuntimeName } from '../../../proto/spec/runtime-names.ts'
import { reachFaultPoint } from '../../fault-points.ts'
import type { ImageStore, LowerLayers } from '../../image/image-store.ts'
import type { ImageConfig, StoredImage } from '../../image/store-index.ts'
import type { ImageFolder, VolumeStore } from '../../volume/volume-store.ts'
import type { BindMount, ContainerConfig, FileMount, Mount, VolumeMount } from '../executor.ts'
import type { NetworkAttachment } from '../network-attacher.ts'
import { capabilitiesOf } from './capabilities.ts'
import { resolveDevices } from './devices.ts'
import { changedHosts, hostsFile, resolvConf } from './etc-files.ts'
import { writeFiles } from './files.ts'
import { checkJournal } from './host-journal.ts'
import {
  appArmorProfile,
  type HostAbilities,
  resolveTuning,
  type TuningOutcome,
} from './host-options.ts'
import type { IdMapping } from './id-mapping.ts'
import { AccountsCache, withImageView } from './image-view.ts'
import { placedMounts, plannedMounts, type ResolvedMount } from './mounts.ts'
import { buildOciSpec, ociText } from './oci-spec.ts'
import type { ContainerPaths } from './paths.ts'
import { containerHostname } from './process-spec.ts'
import { resolveInRoot } from './root-path.ts'
import type { SeccompCache, SeccompWish } from './seccomp-cache.ts'
import { checkUserns, ownerOfFile, raisedLimits, type UsernsCreation } from './user-namespace.ts'
import { resolveUser } from './users.ts'
import { type VolumePart, volumePart } from './volume-parts.ts'

export interface AssemblerOptions {
  readonly store: ImageStore
  readonly volumes: VolumeStore
  readonly seccomp: SeccompCache
  readonly random: Random
  readonly host: HostAbilities
  /** Reaper for `init: true`; empty when the host has none. */
  readonly initPath: string
}

export interface Assembly {
  readonly layers: LowerLayers
  readonly seccomp: SeccompWish
  /** Of its control group, to be written once it is made. */
  readonly groupFiles: TuningOutcome['files']
  /** Set with a user namespace. */
  readonly userns?: UsernsCreation
  /** To be compared with what is mounted, before it is started. */
  readonly parts: readonly VolumePart[]
}

export interface AssemblyRequest {
  /** Without its files. */
  readonly config: ContainerConfig
  readonly files: readonly FileMount[]
  readonly image: StoredImage
  readonly paths: ContainerPaths
  readonly runtime: RuntimeName
  /** Of the user namespace that it gets. */
  readonly userns: IdMapping | undefined
  /** Told the name of each volume made for this container alone, before it is made. */
  readonly onAnonymousVolume: (name: string) => void
}

/** As Docker marks them. */
const anonymousLabel = 'com.docker.volume.anonymous'
const initPackage = 'catatonit'
const othersPass = 0o001

export class Assembler {
  readonly #options: AssemblerOptions
  readonly #accounts = new AccountsCache()
  readonly #emptyDir: string

  constructor(options: AssemblerOptions) {
    this.#options = options
    this.#emptyDir = `${options.store.paths.stateDir}/empty`
  }

  /**
   * Writes the bundle. Errors: INVALID_ARGUMENT for what the user can mend (user, mounts, capabilities, command),
   * UNSUPPORTED, DATA_LOSS, INTERNAL.
   */
  async assemble(request: AssemblyRequest): Promise<Assembly> {
    const { config, paths, userns } = request
    const { store, seccomp, host, initPath } = this.#options
    this.#checkInit(config)
    checkJournal(config.name, config.log)
    const image = await store.config(request.image)
    const layers = await store.lowerLayers(request.image)
    const accounts = await this.#accounts.get(request.image.id, layers, this.#emptyDir)
    const user = resolveUser(accounts, config.user || image.user, config.groups)
    if (userns !== undefined) checkUserns(config, user, userns, request.runtime)
    const mounts = await this.#resolveMounts(request, image, layers)
    const own = userns === undefined ? undefined : await ownUsers(request, userns, mounts)
    const wish = seccompWish(config, host.capabilities)
    const { tuning, files: groupFiles } = await resolveTuning(config, paths.cgroupPath, host)
    const appArmor = await appArmorProfile(config.name, config.security)
    const spec = buildOciSpec({
      config,
      image,
      user,
      mounts: own?.mounts ?? mounts,
      files: await writeFiles(paths.filesDir, request.files, own?.ownerOf),
      etcDir: paths.etcDir,
      cgroupsPath: paths.cgroupPath,
      seccomp: await seccomp.choice(wish, request.runtime),
      capabilities: wish.capabilities,
      devices: await resolveDevices(config.name, config.security),
      ...(tuning === undefined ? {} : { tuning }),
      ...(appArmor === undefined ? {} : { appArmor }),
      ...(userns === undefined ? {} : { userns }),
      hostSwaps: host.hostSwaps,
      initPath,
    })
    // The bundle is in memory, so it is written at once; the rest is on disk.
    mkdirSync(paths.rootfsDir)
    mkdirSync(paths.persistDir)
    if (userns !== undefined) mkdirSync(paths.placeDir)
    writeFileSync(`${paths.bundleDir}/config.json`, ociText(spec), { mode: 0o600 })
    await mkdir(paths.etcDir, { mode: 0o711 })
    await Promise.all([
      mkdir(paths.upperDir),
      mkdir(paths.workDir),
      writeFile(`${paths.etcDir}/hostname`, `${containerHostname(config)}\n`),
      writeEtcFiles(config, paths, undefined),
    ])
    if (userns !== undefined) await giveOwner(paths, userns)
    reachFaultPoint('create.bundle')
    const creation = own === undefined ? {} : { userns: own.creation }
    const parts = mounts.flatMap((one) => (one.kind === 'volume' && one.part ? [one.part] : []))
    return { layers, seccomp: wish, groupFiles, parts, ...creation }
  }

  #checkInit(config: ContainerConfig): void {
    if (config.init !== true || this.#options.initPath !== '') return
    throw new SwarmError(
      'UNSUPPORTED',
      `${config.name} asks for an init process, but this host has none: apt-get install ${initPackage}`,
    )
  }

  async #resolveMounts(
    request: AssemblyRequest,
    image: ImageConfig,
    layers: LowerLayers,
  ): Promise<readonly ResolvedMount[]> {
    const resolved: ResolvedMount[] = []
    for (const mount of plannedMounts(request.config, image)) {
      resolved.push(await this.#resolveMount(mount, request, layers))
    }
    return resolved
  }

  async #resolveMount(
    mount: Mount,
    request: AssemblyRequest,
    layers: LowerLayers,
  ): Promise<ResolvedMount> {
    switch (mount.kind) {
      case 'tmpfs':
        return { kind: 'tmpfs', mount }
      case 'bind':
        return { kind: 'bind', mount, isFolder: await ensureBindSource(mount, request.userns) }
      case 'volume': {
        const place = await this.#volumePlace(mount, request, layers)
        return { kind: 'volume', target: mount.target, readOnly: mount.readOnly ?? false, ...place }
      }
    }
  }

  async #volumePlace(
    mount: VolumeMount,
    request: AssemblyRequest,
    layers: LowerLayers,
  ): Promise<{ readonly path: string; readonly part?: VolumePart }> {
    const isAnonymous = mount.name === undefined || mount.name === ''
    const name = isAnonymous ? newId(this.#options.random) : mount.name
    if (isAnonymous) request.onAnonymousVolume(name)
    const fill: ImageFolder = (work) =>
      withImageView(layers, this.#emptyDir, async (root) =>
        work(await resolveInRoot(root, mount.target)),
      )
    const path = await this.#options.volumes.ensure({
      name,
      labels: isAnonymous ? { [anonymousLabel]: '', ...mount.labels } : (mount.labels ?? {}),
      fillFrom: mount.noCopy === true ? undefined : fill,
      ...(mount.options !== undefined && { options: mount.options }),
      ...(isAnonymous && { containerId: request.config.id }),
      ...(mount.isSlots === true && { isSlots: true }),
    })
    reachFaultPoint('create.volume')
    const { subpath = '', target } = mount
    if (subpath === '') return { path }
    if (Object.keys(mount.options ?? {}).length > 0) throw noSubpath(name)
    const inside = await resolveInRoot(path, subpath)
    if (inside !== undefined) {
      return { path: inside, part: await volumePart(path, { volume: name, subpath, target }) }
    }
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `volume ${name} has no folder ${subpath}: make it, or leave the subpath out`,
    )
  }
}

/** What is otherwise for a container with a user namespace. */
async function ownUsers(
  { config, paths, runtime }: AssemblyRequest,
  mapping: IdMapping,
  mounts: readonly ResolvedMount[],
) {
  if (runtime === 'runc') await checkWay(config.name, paths.bundleDir)
  const placed = placedMounts(mounts, paths.placeDir)
  const limits = raisedLimits(config.ulimits ?? [], await readFile('/proc/self/limits', 'utf8'))
  const { oomScoreAdj = 0 } = config
  const creation: UsernsCreation = { mapping, volumes: placed.volumes, limits, oomScoreAdj }
  const ownerOf = (file: FileMount) => ownerOfFile(config.name, file, mapping)
  return { mounts: placed.mounts, creation, ownerOf }
}

/** Errors: UNSUPPORTED where runc, which walks to a container's root as the container's user, would not get there. */
async function checkWay(name: string, bundleDir: string): Promise<void> {
  for (let dir = dirname(bundleDir); dir !== '/'; dir = dirname(dir)) {
    if (((await stat(dir)).mode & othersPass) !== 0) continue
    throw new SwarmError(
      'UNSUPPORTED',
      `${name} is to be run by runc, which walks to its files as the container's user, and ${dir} is closed to others: ` +
        `chmod o+x ${dir} on this node, or use --runtime crun`,
    )
  }
}

/** Root inside owns its root folder and its files in /etc, as it does without. */
async function giveOwner({ upperDir, etcDir }: ContainerPaths, { uid, gid }: IdMapping) {
  const files = ['hosts', 'hostname', 'resolv.conf'].map((name) => `${etcDir}/${name}`)
  await Promise.all([upperDir, ...files].map((path) => chown(path, uid, gid)))
}

function seccompWish(config: ContainerConfig, own: bigint): SeccompWish {
  const { security } = config
  const profile = security?.privileged === true ? 'unconfined' : security?.seccomp
  const capabilities = capabilitiesOf(config, own)
  return { capabilities, ...(profile === undefined ? {} : { profile }) }
}

/** What its options name is mounted where only containers are made. */
function noSubpath(name: string): SwarmError {
  const text = `volume ${name} has options, and no part of it can be mounted: leave the subpath out`
  return new SwarmError('UNSUPPORTED', text)
}

/** Writes the container's /etc/hosts and /etc/resolv.conf in place: they may be mounted already. */
export async function writeEtcFiles(
  config: ContainerConfig,
  paths: ContainerPaths,
  attachment: NetworkAttachment | undefined,
): Promise<void> {
  const isHost = config.network.kind === 'host'
  const [hosts, resolv] = isHost
    ? await Promise.all([hostText('/etc/hosts'), hostText('/etc/resolv.conf')])
    : ['', '']
  await Promise.all([
    writeFile(`${paths.etcDir}/hosts`, hostsFile(config, attachment, hosts)),
    writeFile(`${paths.etcDir}/resolv.conf`, resolvConf(config, attachment, resolv)),
  ])
}

/**
 * The same after the container's networks changed while it ran. Of /etc/hosts only lines of addresses that came or went
 * change, of the rest what is not ours stays; /etc/resolv.conf is written when other name servers are to be asked.
 */
export async function changeEtcFiles(
  config: ContainerConfig,
  paths: ContainerPaths,
  change: {
    readonly before: NetworkAttachment | undefined
    readonly attachment: NetworkAttachment
  },
): Promise<void> {
  const { before, attachment } = change
  const hostsPath = `${paths.etcDir}/hosts`
  const hosts = await readFile(hostsPath, 'utf8')
  const changed = changedHosts(config, hosts, before, attachment)
  if (changed !== hosts) await writeFile(hostsPath, changed)
  const [was, is] = [resolvConf(config, before, ''), resolvConf(config, attachment, '')]
  if (was !== is) await writeFile(`${paths.etcDir}/resolv.conf`, is)
}

function hostText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '')
}

/** Whether it is a folder. */
async function ensureBindSource(
  { source, createSource }: BindMount,
  userns: IdMapping | undefined,
): Promise<boolean> {
  const found = await stat(source).catch(() => undefined)
  if (found !== undefined) return found.isDirectory()
  if (createSource !== true) {
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `invalid mount config for type "bind": bind source path does not exist: ${source}`,
      { details: { source } },
    )
  }
  await mkdir(source, { recursive: true }).catch((cause: unknown) => {
    throw new SwarmError('INVALID_ARGUMENT', `cannot make the bind mount source ${source}`, {
      cause,
    })
  })
  // As Docker does it; what was there before keeps its owners.
  if (userns !== undefined) await lchown(source, userns.uid, userns.gid)
  return true
}
