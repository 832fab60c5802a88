// Reads what the network needs to know of its host: addresses, routes, waiting sockets, name servers. Decides nothing.
import { statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { objects, parseJson, textOf } from './json.ts'
import type { Kernel } from './kernel.ts'
import { type ListeningSocket, listCommand, parseSockets } from './listening-sockets.ts'
import type { NetnsRef } from './network-state.ts'
import { hostLink } from './network-state.ts'
import { containerResolver, type Resolver } from './resolver.ts'

/** IPv4 addresses of the host and destinations of its routes, without those of our own link. */
export async function readOccupied(kernel: Kernel): Promise<readonly string[]> {
  const routes = await kernel.run('host', ['ip', '-4', '-j', 'route', 'show', 'table', 'all'])
  const destinations = objects(parseJson(routes.stdout))
    .filter((route) => route.dev !== hostLink)
    .map((route) => textOf(route.dst))
  const { addresses } = await readHostAddresses(kernel)
  return [...destinations, ...addresses.filter((address) => !address.includes(':'))]
}

export interface HostAddresses {
  /** Of both families but loopback's, our link's, and those that hold for one link only. */
  readonly addresses: readonly string[]
  readonly hasIpv6: boolean
}

export async function readHostAddresses(kernel: Kernel): Promise<HostAddresses> {
  const answer = await kernel.run('host', ['ip', '-j', 'addr', 'show'])
  const all = objects(parseJson(answer.stdout))
    .filter((link) => link.ifname !== hostLink)
    .flatMap((link) => objects(link.addr_info).map((info) => textOf(info.local)))
  return {
    addresses: all.filter((address) => address !== '' && !/^(127\.|::1$|fe[89ab].:)/.test(address)),
    hasIpv6: all.some((address) => address.includes(':')),
  }
}

/** Sockets of the host that wait for connections or datagrams. */
export async function readListening(
  kernel: Pick<Kernel, 'run'>,
): Promise<readonly ListeningSocket[]> {
  const { stdout } = await kernel.run('host', listCommand)
  return parseSockets(stdout)
}

/** What a container can use of the host's name servers. */
export async function readResolver(): Promise<Resolver> {
  const [host, upstream] = await Promise.all([
    readText('/etc/resolv.conf'),
    readText('/run/systemd/resolve/resolv.conf'),
  ])
  return containerResolver(host, upstream)
}

/** A file that may be missing, as text. */
async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch {
    return ''
  }
}

/** The network namespace of a process, or undefined when the process has ended. */
export function findNetns(pid: number): NetnsRef | undefined {
  const path = `/proc/${pid}/ns/net`
  try {
    return { path, inode: statSync(path).ino }
  } catch {
    return undefined
  }
}

/** Whether the namespace is still the one under its path. */
export function isAlive(netns: NetnsRef): boolean {
  try {
    return statSync(netns.path).ino === netns.inode
  } catch {
    return false
  }
}
