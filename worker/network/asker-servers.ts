// Containers that have name servers of their own beside networks with names: their resolver is the node's all the same, which knows the
// names of their networks, and asks their servers instead of the host's for all others. Which they are lies in a file for each address of
// theirs, where the resolver, a process of its own, looks with each such question (dns/asker-upstreams.ts). Source: Docker's embedded
// DNS server, which forwards to a container's --dns.
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import type { NetworkAttacher, NetworkAttachment } from '../executor/network-attacher.ts'

/** Puts the servers of containers into the folder, which is made, as they come and go. */
export function withOwnServers(inner: NetworkAttacher, dir: string): NetworkAttacher {
  const servers = new AskerServers(dir)
  return {
    attach: async (request, signal) => {
      const attachment = await inner.attach(request, signal)
      servers.set(request.containerId, attachment, request.nameservers)
      return attachment
    },
    detach: async (containerId) => {
      // First: its addresses may be another container's as soon as they are given back.
      servers.remove(containerId)
      await inner.detach(containerId)
    },
    connect: async (request, signal) => {
      const attachment = await inner.connect(request, signal)
      servers.set(request.containerId, attachment)
      return attachment
    },
    disconnect: async (containerId, networkId) => {
      const attachment = await inner.disconnect(containerId, networkId)
      servers.set(containerId, attachment)
      return attachment
    },
    restore: async (live) => {
      servers.open()
      for (const { request, attachment } of live) {
        servers.set(request.containerId, attachment, request.nameservers)
      }
      await inner.restore(live)
    },
  }
}

interface Known {
  readonly nameservers: readonly string[]
  /** File names. */
  readonly files: readonly string[]
}

class AskerServers {
  readonly #dir: string
  /** Of containers that have servers of their own. */
  readonly #known = new Map<string, Known>()

  constructor(dir: string) {
    this.#dir = dir
  }

  /** Empties the folder: what a former daemon left may be of containers that are gone. */
  open(): void {
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 })
    for (const file of readdirSync(this.#dir)) rmSync(`${this.#dir}/${file}`)
  }

  /** `nameservers` undefined: as before. */
  set(
    containerId: string,
    { endpoints, isNodeResolved = false }: NetworkAttachment,
    nameservers = this.#known.get(containerId)?.nameservers ?? [],
  ): void {
    if (nameservers.length === 0) return
    const addresses = endpoints.flatMap((endpoint) => endpoint.addresses)
    const files = isNodeResolved ? addresses.map((address) => address.split('/')[0] ?? '') : []
    const text = nameservers.map((server) => `nameserver ${server}\n`).join('')
    for (const file of files) this.#write(file, text)
    this.#forget(containerId, files)
    this.#known.set(containerId, { nameservers, files })
  }

  remove(containerId: string): void {
    this.#forget(containerId, [])
    this.#known.delete(containerId)
  }

  #forget(containerId: string, kept: readonly string[]): void {
    const gone = this.#known.get(containerId)?.files.filter((file) => !kept.includes(file)) ?? []
    for (const file of gone) rmSync(`${this.#dir}/${file}`, { force: true })
  }

  /** Replaced whole: the resolver may read it meanwhile. */
  #write(file: string, text: string): void {
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 })
    writeFileSync(`${this.#dir}/.new`, text, { mode: 0o600 })
    renameSync(`${this.#dir}/.new`, `${this.#dir}/${file}`)
  }
}
