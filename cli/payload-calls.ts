// Secrets and configs are handled alike: which methods of the control API are whose, and how their data is read.
import { open } from 'node:fs/promises'
import { SwarmError } from '../proto/errors.ts'
import { ControlService, type PayloadView } from '../proto/gen/tsswarm/v1/control.ts'
import { type PayloadKind, payloadBytesMax } from '../proto/spec/payload-spec.ts'
import type { Client } from './client.ts'
import { incomplete } from './common.ts'
import type { CommandContext, Input } from './context.ts'
import { usage } from './parse-args.ts'

const methods = {
  secret: {
    create: ControlService.createSecret,
    get: ControlService.getSecret,
    list: ControlService.listSecrets,
    update: ControlService.updateSecret,
    remove: ControlService.removeSecret,
  },
  config: {
    create: ControlService.createConfig,
    get: ControlService.getConfig,
    list: ControlService.listConfigs,
    update: ControlService.updateConfig,
    remove: ControlService.removeConfig,
  },
} as const

export function payloadMethods(kind: PayloadKind) {
  return methods[kind]
}

/** Errors: NOT_FOUND, AMBIGUOUS. */
export async function getPayload(
  client: Client,
  kind: PayloadKind,
  reference: string,
): Promise<PayloadView> {
  const { payload } = await client.call(methods[kind].get, { reference })
  if (payload?.payload?.spec === undefined) throw incomplete(kind)
  return payload
}

/** Bytes of a file, or of stdin for "-". Errors: USAGE, INVALID_ARGUMENT when there are too many. */
export async function readData(
  ctx: CommandContext,
  kind: PayloadKind,
  path: string,
): Promise<Uint8Array> {
  if (path === '-' && ctx.stdin.isTerminal) {
    throw usage(`the ${kind} is to come from stdin, but stdin is a terminal: name a file`)
  }
  const source = path === '-' ? ctx.stdin : await opened(path)
  return await bounded(source, kind)
}

async function opened(path: string): Promise<AsyncIterable<Uint8Array>> {
  try {
    const file = await open(path)
    if (!(await file.stat()).isDirectory()) return file.createReadStream()
    await file.close()
    throw new Error('it is a folder')
  } catch (err) {
    throw usage(`cannot read ${path}: ${err instanceof Error ? err.message : String(err)}`, err)
  }
}

async function bounded(
  source: AsyncIterable<Uint8Array> | Input,
  kind: PayloadKind,
): Promise<Uint8Array> {
  const bytesMax = payloadBytesMax[kind]
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of source) {
    parts.push(part)
    length += part.length
    if (length < bytesMax) continue
    const limit = `${bytesMax / 1024} KiB`
    throw new SwarmError('INVALID_ARGUMENT', `a ${kind} must be less than ${limit}: split it`)
  }
  return Buffer.concat(parts)
}
