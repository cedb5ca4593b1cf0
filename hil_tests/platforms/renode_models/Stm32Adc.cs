// The three analogue-to-digital converters of the STM32F4 and their common registers: ST's RM0090, chapter 13. Each
// conversion is of the channel that the sequence names when it starts; Renode's own keeps that of switching on.
//
//     sysbus.adc SetInput 3 2048      the count, of 12 bits, that channel 3 of every converter has
//
// A conversion started by software takes no time. Only in scan mode is more than the first of a sequence converted; each
// result then overwrites the one before, as without DMA nobody takes them. Not here: triggers, injected channels, watchdog, DMA, interrupts, dual
// modes, left alignment.

using System.Collections.Generic;

using Antmicro.Renode.Core;
using Antmicro.Renode.Exceptions;
using Antmicro.Renode.Peripherals.Bus;

namespace Antmicro.Renode.Peripherals.Carbonmeter
{
    public class Stm32Adc : IDoubleWordPeripheral, IKnownSize
    {
        public Stm32Adc()
        {
            for(var number = 0; number < converters.Length; number++)
            {
                converters[number] = new Converter(inputs);
            }
        }

        public void Reset()
        {
            foreach(var converter in converters)
            {
                converter.Reset();
            }
            common.Clear();
        }

        public void SetInput(int channel, uint count)
        {
            if(channel < 0 || channel >= Channels || count > FullScale)
            {
                throw new RecoverableException("a channel is 0 to 18, its count 0 to 4095");
            }
            inputs[channel] = count;
        }

        public uint ReadDoubleWord(long offset)
        {
            if(offset >= CommonStart)
            {
                uint kept;
                return common.TryGetValue(offset, out kept) ? kept : 0;
            }
            return converters[offset / ConverterBytes].Read(offset % ConverterBytes);
        }

        public void WriteDoubleWord(long offset, uint value)
        {
            if(offset >= CommonStart)
            {
                common[offset] = value;
                return;
            }
            converters[offset / ConverterBytes].Write(offset % ConverterBytes, value);
        }

        public long Size { get { return 0x400; } }

        private readonly uint[] inputs = new uint[Channels];
        private readonly Converter[] converters = new Converter[3];
        private readonly Dictionary<long, uint> common = new Dictionary<long, uint>();

        private const int Channels = 19;
        private const uint FullScale = 4095;
        private const long ConverterBytes = 0x100;
        private const long CommonStart = 0x300;

        private sealed class Converter
        {
            public Converter(uint[] inputs)
            {
                this.inputs = inputs;
            }

            public void Reset()
            {
                registers.Clear();
                status = 0;
                result = 0;
            }

            public uint Read(long offset)
            {
                switch(offset)
                {
                    case Status:
                        return status;
                    case Data:
                        status &= ~Converted;
                        return result;
                    default:
                        return Kept(offset);
                }
            }

            public void Write(long offset, uint value)
            {
                switch(offset)
                {
                    case Status:
                        // Written zeros clear.
                        status &= value;
                        break;
                    case Control2:
                        registers[offset] = value & ~SoftwareStart;
                        if((value & (SoftwareStart | On)) == (SoftwareStart | On))
                        {
                            Convert();
                        }
                        break;
                    default:
                        registers[offset] = value;
                        break;
                }
            }

            private void Convert()
            {
                var isScanning = (Kept(Control1) & Scan) != 0;
                var last = isScanning ? Kept(Sequence1) >> SequenceLengthShift & 0xF : 0;
                var resolution = Kept(Control1) >> ResolutionShift & 3;
                result = Input(ChannelAt(last)) >> (int)(2 * resolution);
                status |= Started | Converted;
            }

            // Six to a register, five bits each, the first of them in SQR3.
            private uint ChannelAt(uint place)
            {
                return Kept(Sequence3 - 4 * (place / 6)) >> (int)(5 * (place % 6)) & 0x1F;
            }

            private uint Input(uint channel)
            {
                return channel < inputs.Length ? inputs[channel] : 0;
            }

            private uint Kept(long offset)
            {
                uint kept;
                return registers.TryGetValue(offset, out kept) ? kept : 0;
            }

            private readonly uint[] inputs;
            private readonly Dictionary<long, uint> registers = new Dictionary<long, uint>();
            private uint status;
            private uint result;

            private const long Status = 0x00;
            private const long Control1 = 0x04;
            private const long Control2 = 0x08;
            private const long Sequence1 = 0x2C;
            private const long Sequence3 = 0x34;
            private const long Data = 0x4C;

            private const uint Converted = 1u << 1;
            private const uint Started = 1u << 4;
            private const uint On = 1u << 0;
            private const uint Scan = 1u << 8;
            private const uint SoftwareStart = 1u << 30;
            private const int ResolutionShift = 24;
            private const int SequenceLengthShift = 20;
        }
    }
}
