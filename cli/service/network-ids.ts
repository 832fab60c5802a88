// Specs know networks by their ids, users by their names.
import { ControlService } from '../../proto/gen/tsswarm/v1/control.ts'
import type { Client } from '../client.ts'
import { read } from '../read-flag.ts'
import { networkUseText, parseNetworkUse } from './network-use.ts'
import type { UpdateFlags } from './update-spec.ts'

/** The flags with ids for names. Errors: USAGE, NOT_FOUND, AMBIGUOUS. */
export async function withNetworkIds(client: Client, flags: UpdateFlags): Promise<UpdateFlags> {
  const idOf = async (reference: string): Promise<string> => {
    const { network } = await client.call(ControlService.getNetwork, {
      reference,
      verbose: false,
    })
    return network?.id ?? reference
  }
  const added: string[] = []
  for (const text of flags['network-add']) {
    const use = read('network-add', () => parseNetworkUse(text), text)
    added.push(networkUseText({ ...use, target: await idOf(use.target) }))
  }
  const removed: string[] = []
  for (const reference of flags['network-rm']) removed.push(await idOf(reference))
  return { ...flags, 'network-add': added, 'network-rm': removed }
}
