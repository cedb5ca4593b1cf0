// Sensirion's CO2 sensors on I2C: SCD30 (Interface Description SCD30 v1.0, §1.4) and SCD41 (data sheet SCD4x v1.4,
// §3). Commands are words of 16 bits, arguments and answers words with a CRC-8 (polynomial 31h, from FFh). A sensor
// that measures has one new value a period, to be had once. What it measures is set from outside:
//
//     sysbus.i2c1.scd30 Co2Ppm 421.5
//
// An answer that is not there reads as FFh, whose CRC is wrong: Renode's slaves cannot refuse their address. Values
// of an answer are those at the time when they are fetched. What a loss of supply forgets is not modelled.

using System;
using System.Collections.Generic;

using Antmicro.Renode.Core;
using Antmicro.Renode.Logging;
using Antmicro.Renode.Peripherals.I2C;

namespace Antmicro.Renode.Peripherals.Carbonmeter
{
    public abstract class Sensirion : II2CPeripheral
    {
        protected Sensirion(IMachine machine)
        {
            this.machine = machine;
        }

        public virtual void Reset()
        {
            answer.Clear();
        }

        public double Co2Ppm { get; set; } = 400;

        public double TemperatureCelsius { get; set; } = 25;

        public double RelativeHumidityPercent { get; set; } = 50;

        public void Write(byte[] data)
        {
            answer.Clear();
            var hasArgument = data.Length == 5;
            if(data.Length != 2 && !hasArgument || hasArgument && Crc(data[2], data[3]) != data[4])
            {
                this.Log(LogLevel.Error, "no command: {0}", BitConverter.ToString(data));
                return;
            }
            var command = data[0] << 8 | data[1];
            var isKnown = Execute(command, hasArgument ? data[2] << 8 | data[3] : (int?)null);
            this.Log(isKnown ? LogLevel.Debug : LogLevel.Error, "command 0x{0:X4}{1}", command, isKnown ? "" : " refused");
        }

        public byte[] Read(int count = 1)
        {
            var said = new byte[count];
            for(var place = 0; place < count; place++)
            {
                said[place] = answer.Count > 0 ? answer.Dequeue() : Nothing;
            }
            return said;
        }

        public void FinishTransmission()
        {
        }

        // False if there is no such command, or not now.
        protected abstract bool Execute(int command, int? argument);

        protected void Say(params int[] words)
        {
            foreach(var word in words)
            {
                var high = (byte)(word >> 8);
                var low = (byte)word;
                answer.Enqueue(high);
                answer.Enqueue(low);
                answer.Enqueue(Crc(high, low));
            }
        }

        protected void StartMeasuring(int periodMs)
        {
            period = periodMs;
            start = NowMs;
            taken = 0;
        }

        protected void StopMeasuring()
        {
            period = null;
        }

        protected bool IsMeasuring { get { return period != null; } }

        protected bool IsNew { get { return period != null && Made > taken; } }

        protected void Take()
        {
            taken = Made;
        }

        protected double NowMs { get { return machine.ElapsedVirtualTime.TimeElapsed.TotalMilliseconds; } }

        private long Made { get { return (long)((NowMs - start) / period.Value); } }

        private static byte Crc(byte high, byte low)
        {
            var crc = 0xFF;
            foreach(var octet in new[] { high, low })
            {
                crc ^= octet;
                for(var bit = 0; bit < 8; bit++)
                {
                    crc = (crc & 0x80) != 0 ? crc << 1 ^ 0x131 : crc << 1;
                }
            }
            return (byte)crc;
        }

        private readonly IMachine machine;
        private readonly Queue<byte> answer = new Queue<byte>();
        private int? period;
        private double start;
        private long taken;

        private const byte Nothing = 0xFF;
    }

    public class Scd30 : Sensirion
    {
        public Scd30(IMachine machine) : base(machine)
        {
        }

        protected override bool Execute(int command, int? argument)
        {
            switch(command)
            {
                case 0x0010:
                    if(!IsMeasuring)
                    {
                        StartMeasuring(1000 * intervalS);
                    }
                    return argument == 0 || argument >= 700 && argument <= 1400;
                case 0x0104:
                    StopMeasuring();
                    return true;
                case 0x0202:
                    Say(IsNew ? 1 : 0);
                    return true;
                case 0x0300:
                    SayMeasurement();
                    return true;
                case 0x4600:
                    return Keep(ref intervalS, argument, 2, 1800);
                case 0x5306:
                    return Keep(ref selfCalibration, argument, 0, 1);
                case 0xD100:
                    Say(FirmwareVersion);
                    return true;
                default:
                    return false;
            }
        }

        // Without an argument it is asked for.
        private bool Keep(ref int setting, int? argument, int lowest, int highest)
        {
            if(argument == null)
            {
                Say(setting);
                return true;
            }
            if(argument < lowest || argument > highest)
            {
                return false;
            }
            setting = argument.Value;
            if(IsMeasuring)
            {
                StartMeasuring(1000 * intervalS);
            }
            return true;
        }

        private void SayMeasurement()
        {
            if(!IsNew)
            {
                return;
            }
            Take();
            foreach(var value in new[] { Co2Ppm, TemperatureCelsius, RelativeHumidityPercent })
            {
                var bits = BitConverter.ToInt32(BitConverter.GetBytes((float)value), 0);
                Say(bits >> 16 & 0xFFFF, bits & 0xFFFF);
            }
        }

        // As it leaves the factory.
        private int intervalS = 2;
        private int selfCalibration = 1;

        private const int FirmwareVersion = 0x0342;
    }

    public class Scd41 : Sensirion
    {
        public Scd41(IMachine machine) : base(machine)
        {
        }

        // Twelve hexadecimal digits.
        public string SerialNumber { get; set; } = "5CD400000001";

        protected override bool Execute(int command, int? argument)
        {
            if(NowMs < busyUntilMs)
            {
                return false;
            }
            switch(command)
            {
                case 0xE4B8:
                    Say(IsNew ? 0x8006 : 0x8000);
                    return true;
                case 0x3F86:
                    StopMeasuring();
                    busyUntilMs = NowMs + StopMs;
                    return true;
                case 0xE000:
                    return argument >= 700 && argument <= 1200;
                case 0xEC05:
                    return SayMeasurement();
                default:
                    return !IsMeasuring && ExecuteIdle(command, argument);
            }
        }

        private bool ExecuteIdle(int command, int? argument)
        {
            switch(command)
            {
                case 0x21B1:
                    StartMeasuring(PeriodMs);
                    return true;
                case 0x2313:
                    Say(selfCalibration);
                    return true;
                case 0x2416:
                    selfCalibration = argument ?? selfCalibration;
                    return argument == 0 || argument == 1;
                case 0x3682:
                    var serial = Convert.ToInt64(SerialNumber, 16);
                    Say((int)(serial >> 32) & 0xFFFF, (int)(serial >> 16) & 0xFFFF, (int)serial & 0xFFFF);
                    return true;
                default:
                    return false;
            }
        }

        private bool SayMeasurement()
        {
            if(!IsNew)
            {
                return false;
            }
            Take();
            Say((int)Math.Round(Co2Ppm), Scaled(TemperatureCelsius + 45, 175), Scaled(RelativeHumidityPercent, 100));
            return true;
        }

        private static int Scaled(double value, double fullScale)
        {
            return (int)Math.Round(65535 * value / fullScale);
        }

        private int selfCalibration = 1;
        private double busyUntilMs;

        private const int PeriodMs = 5000;
        private const int StopMs = 500;
    }
}
