// The store at one moment, as the control API of a manager shows it, cut down to what overlay networks are made of. Pure.
import type { ServiceView, TaskView } from '../../../proto/gen/tsswarm/v1/control.ts'
import type { Network, Node } from '../../../proto/gen/tsswarm/v1/objects.ts'

export interface PictureNode {
  readonly id: string
  readonly host: string
  /** Outer address of its VXLAN packets. */
  readonly vtep: string
  readonly transit: string
  readonly mac: string
}

export interface PictureNetwork {
  readonly id: string
  readonly vni: number
  readonly device: string
  readonly subnet: string
  readonly isIngress: boolean
}

export interface PictureService {
  readonly id: string
  readonly name: string
  /** By network. */
  readonly vips: ReadonlyMap<string, string>
}

export interface PictureTask {
  readonly id: string
  readonly serviceId: string
  readonly serviceName: string
  /** Empty: none yet. */
  readonly nodeId: string
  readonly state: number
  readonly desiredState: number
  readonly pid: number
  readonly err: string
  /** By network. */
  readonly addresses: ReadonlyMap<string, string>
}

/** What does not change while a cluster churns. */
export interface Ground {
  readonly nodes: readonly PictureNode[]
  readonly networks: readonly PictureNetwork[]
}

export interface Picture {
  /** It is of a moment between these two; on the wall clock. */
  readonly fromMs: number
  readonly toMs: number
  readonly ground: Ground
  readonly services: readonly PictureService[]
  readonly tasks: readonly PictureTask[]
}

const running = 512

/** It has ended: what was its is nobody's, or another's. */
export function hasEnded({ state }: PictureTask): boolean {
  return state > running
}

export function isRunning({ state }: PictureTask): boolean {
  return state === running
}

/** It gets new connections. */
export function isServing({ state, desiredState }: PictureTask): boolean {
  return state === running && desiredState === running
}

export function isWanted({ desiredState }: PictureTask): boolean {
  return desiredState === running
}

export function pictureNode(node: Node): PictureNode {
  const own = node.description?.dataPathAddress ?? ''
  return {
    id: node.id,
    host: node.description?.hostname ?? '',
    vtep: own === '' ? node.address : own,
    transit: ipv4(node.path?.transit),
    mac: node.path?.mac ?? '',
  }
}

export function pictureNetwork({ id, vni, spec, subnets }: Network): PictureNetwork {
  const device = `vx${vni.toString(16)}`
  const subnet = ipv4(subnets.map((one) => one.subnet))
  return { id, vni, device, subnet, isIngress: spec?.ingress === true }
}

export function pictureService({ service }: ServiceView): PictureService {
  const vips = service?.endpoint?.vips ?? []
  return {
    id: service?.id ?? '',
    name: service?.spec?.name ?? '',
    vips: byNetwork(vips),
  }
}

export function pictureTask({ task, serviceName }: TaskView): PictureTask {
  return {
    id: task?.id ?? '',
    serviceId: task?.serviceId ?? '',
    serviceName,
    nodeId: task?.nodeId ?? '',
    state: task?.state ?? 0,
    desiredState: task?.desiredState ?? 0,
    pid: task?.pid ?? 0,
    err: task?.err ?? '',
    addresses: byNetwork(task?.attachments ?? []),
  }
}

interface Given {
  readonly networkId: string
  readonly addresses: readonly string[]
}

function byNetwork(given: readonly Given[]): ReadonlyMap<string, string> {
  return new Map(given.map(({ networkId, addresses }) => [networkId, ipv4(addresses)]))
}

function ipv4(addresses: readonly string[] = []): string {
  return addresses.find((address) => !address.includes(':')) ?? ''
}
