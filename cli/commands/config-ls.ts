// tsswarm config ls
import { listCommand } from '../payload-commands.ts'

export const command = listCommand('config')
