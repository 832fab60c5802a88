// tsswarm config update
import { updateCommand } from '../payload-commands.ts'

export const command = updateCommand('config')
