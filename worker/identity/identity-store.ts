// The node's identity on disk, replaced as one: identity.json (key and certificates), and the two
// certificates as PEM files for people and other programs.
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import type { IdentitySource, TlsIdentity } from '../../proto/objects/index.ts'
import { type NodeCertificate, readNodeCertificate } from './node-certificate.ts'

const fileName = 'identity.json'

/** Keeps the identity in memory and on disk (one file of mode 0600, so that key and certificate always match). */
export class IdentityStore implements IdentitySource {
  readonly #directory: string
  readonly #listeners = new Set<(identity: TlsIdentity) => void>()
  #identity: TlsIdentity
  #certificate: NodeCertificate

  private constructor(directory: string, identity: TlsIdentity) {
    this.#directory = directory
    this.#identity = identity
    this.#certificate = readNodeCertificate(identity.certPem)
  }

  /** Reads the identity kept in the directory; undefined when there is none. Errors: DATA_LOSS. */
  static open(directory: string): IdentityStore | undefined {
    let text: string
    try {
      text = readFileSync(join(directory, fileName), 'utf8')
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw err
    }
    return new IdentityStore(directory, JSON.parse(text) as TlsIdentity)
  }

  /** Writes a first identity. */
  static create(directory: string, identity: TlsIdentity): IdentityStore {
    const store = new IdentityStore(directory, identity)
    store.replace(identity)
    return store
  }

  current(): TlsIdentity {
    return this.#identity
  }

  certificate(): NodeCertificate {
    return this.#certificate
  }

  onChange(listener: (identity: TlsIdentity) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Takes over a new identity: durable first, then told to all. */
  replace(identity: TlsIdentity): void {
    const certificate = readNodeCertificate(identity.certPem)
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
    writeDurably(this.#directory, fileName, JSON.stringify(identity))
    writeDurably(this.#directory, 'swarm-node.crt', identity.certPem)
    writeDurably(this.#directory, 'swarm-root-ca.crt', identity.caPem)
    this.#identity = identity
    this.#certificate = certificate
    for (const listener of this.#listeners) listener(identity)
  }

  /** Forgets the identity. */
  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

/** Writes a file of mode 0600 beside, flushes and renames it. */
function writeDurably(directory: string, name: string, text: string): void {
  const target = join(directory, name)
  const beside = `${target}.${randomBytes(4).toString('hex')}`
  const file = openSync(beside, 'wx', 0o600)
  try {
    writeSync(file, text)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(beside, target)
  const folder = openSync(directory, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}
