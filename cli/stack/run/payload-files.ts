// The files of a stack's secrets and configs, and whether the swarm has their content already. The content of a secret is in no answer, so
// a label keeps a slow salted digest of it.
import { randomBytes, scryptSync, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { ControlService } from '../../../proto/gen/tsswarm/v1/control.ts'
import { payloadBytesMax } from '../../../proto/spec/payload-spec.ts'
import type { Client } from '../../client.ts'
import { faultsError, type Notice } from '../node.ts'
import type { ReadPayload, SwarmState } from '../plan-stack.ts'
import type { StackPayload } from '../stack-spec.ts'

export const contentLabel = 'com.tsswarm.stack.content'

export interface FilledPayload extends ReadPayload {
  readonly data: Uint8Array
}

/** Errors: INVALID_ARGUMENT with file and line for files that cannot be read or are too large; as Client.call. */
export async function readPayloads(
  client: Client,
  payloads: readonly StackPayload[],
  state: SwarmState,
): Promise<readonly FilledPayload[]> {
  const faults: Notice[] = []
  const found: FilledPayload[] = []
  for (const payload of payloads) {
    try {
      found.push(await compared(client, payload, readContent(payload), state))
    } catch (err) {
      if (!(err instanceof FileFault)) throw err
      faults.push({ at: payload.at, path: payload.path, text: err.message })
    }
  }
  if (faults.length > 0) throw faultsError(faults)
  return found
}

class FileFault extends Error {}

function readContent({ kind, file }: StackPayload): Uint8Array {
  let data: Uint8Array
  try {
    data = readFileSync(file)
  } catch (err) {
    throw new FileFault(`cannot read ${file}: ${err instanceof Error ? err.message : String(err)}`)
  }
  const bytesMax = payloadBytesMax[kind]
  if (data.length === 0) throw new FileFault(`${file} is empty`)
  if (data.length < bytesMax) return data
  throw new FileFault(`${file} has ${data.length} bytes: a ${kind} has less than ${bytesMax}`)
}

async function compared(
  client: Client,
  payload: StackPayload,
  data: Uint8Array,
  state: SwarmState,
): Promise<FilledPayload> {
  const { kind, name, labels } = payload
  const there = state.payloads.find((one) => one.kind === kind && one.name === name)
  if (kind === 'config') {
    const isContentThere = there !== undefined && (await hasContent(client, there.id, data))
    return { ...payload, data, isContentThere }
  }
  const digest = there?.labels[contentLabel]
  const isContentThere = digest !== undefined && isDigestOf(digest, data)
  const label = isContentThere ? digest : digestOf(data, randomBytes(16))
  return { ...payload, labels: { ...labels, [contentLabel]: label }, data, isContentThere }
}

async function hasContent(client: Client, id: string, data: Uint8Array): Promise<boolean> {
  const { payload } = await client.call(ControlService.getConfig, { reference: id })
  return Buffer.compare(payload?.payload?.spec?.data ?? new Uint8Array(0), data) === 0
}

function digestOf(data: Uint8Array, salt: Buffer): string {
  return `${salt.toString('hex')}:${scryptSync(data, salt, 32).toString('hex')}`
}

function isDigestOf(digest: string, data: Uint8Array): boolean {
  const salt = Buffer.from(digest.split(':')[0] ?? '', 'hex')
  const own = Buffer.from(digestOf(data, salt))
  const theirs = Buffer.from(digest)
  return own.length === theirs.length && timingSafeEqual(own, theirs)
}
